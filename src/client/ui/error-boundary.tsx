import { Component, type ReactNode } from 'react';
import { Button } from './button.tsx';

/** React has already logged the error. */
export class ErrorBoundary extends Component<{ children: ReactNode }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="mx-auto flex min-h-dvh max-w-md flex-col items-start justify-center gap-4 px-5">
        <h1 className="font-display text-3xl font-semibold">Something went wrong</h1>
        <p role="alert" className="text-muted">
          It’s our fault, not yours. Reloading the page usually helps.
        </p>
        <Button onClick={() => window.location.reload()}>Reload</Button>
      </main>
    );
  }
}
