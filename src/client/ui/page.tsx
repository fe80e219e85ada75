import { type ReactNode, useEffect } from 'react';

interface PageProps {
  /** Names the page in the browser's tab and history. */
  title: string;
  /** Where the page greets with other words than its title. */
  heading?: string;
  children: ReactNode;
}

export function Page({ title, heading = title, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Latchkey`;
  }, [title]);

  return (
    <>
      {/* Can be focused, so that a navigation can announce it; see the layout. */}
      <h1 tabIndex={-1} className="font-display text-3xl font-semibold tracking-tight text-balance outline-none">
        {heading}
      </h1>
      {children}
    </>
  );
}
