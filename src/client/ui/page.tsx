import { type ReactNode, useEffect } from 'react';

interface PageProps {
  title: string;
  /** Defaults to the title. */
  heading?: string;
  children: ReactNode;
}

export function Page({ title, heading = title, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Latchkey`;
  }, [title]);

  return (
    <>
      {/* Focusable, so that the layout can announce navigation. */}
      <h1
        tabIndex={-1}
        className="font-display text-3xl font-semibold tracking-tight text-balance wrap-anywhere outline-none"
      >
        {heading}
      </h1>
      {children}
    </>
  );
}
