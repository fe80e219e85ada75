import type { ReactNode } from 'react';

interface BadgeProps {
  tone: 'calm' | 'plain';
  children: ReactNode;
}

const tones = {
  calm: 'border-brass bg-brass-tint',
  plain: 'border-line bg-paper text-muted',
};

export function Badge({ tone, children }: BadgeProps) {
  return (
    <span
      className={`inline-block rounded-full whitespace-nowrap border px-2.5 py-0.5 text-sm font-medium ${tones[tone]}`}
    >
      {children}
    </span>
  );
}
