import type { ReactNode } from 'react';

export function List({ children }: { children: ReactNode }) {
  return <ul className="flex flex-col divide-y divide-line border-y border-line">{children}</ul>;
}

interface ListItemProps {
  children: ReactNode;
  /** Buttons. */
  action?: ReactNode;
}

export function ListItem({ children, action }: ListItemProps) {
  return (
    <li className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 py-4">
      <div className="min-w-0 wrap-anywhere">{children}</div>
      {action}
    </li>
  );
}
