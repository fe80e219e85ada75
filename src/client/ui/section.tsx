import { type ReactNode, useId } from 'react';

interface SectionProps {
  heading: string;
  /** What this is for, in a sentence. */
  intro?: ReactNode;
  children: ReactNode;
}

/** A part of a page of settings. Its heading stands beside it where there is room. */
export function Section({ heading, intro, children }: SectionProps) {
  const id = useId();
  return (
    <section
      aria-labelledby={id}
      className="grid gap-x-10 gap-y-5 rounded-2xl border border-line bg-surface px-5 py-6 sm:px-7 lg:grid-cols-[15rem_minmax(0,1fr)]"
    >
      <div>
        <h2 id={id} className="font-display text-xl font-semibold">
          {heading}
        </h2>
        {intro !== undefined && <p className="mt-2 text-sm text-muted">{intro}</p>}
      </div>
      <div className="flex min-w-0 flex-col gap-5">{children}</div>
    </section>
  );
}
