import { type ReactNode, useId } from 'react';

interface CardProps {
  heading: string;
  children: ReactNode;
}

export function Card({ heading, children }: CardProps) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="flex flex-col rounded-2xl border border-line bg-surface px-5 py-6 sm:px-7">
      <h2 id={id} className="font-display text-xl font-semibold">
        {heading}
      </h2>
      {children}
    </section>
  );
}
