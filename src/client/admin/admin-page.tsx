import type { ReactNode } from 'react';
import { NavLink } from 'react-router';
import { Page } from '../ui/page.tsx';

const pages = [
  { to: '/admin/people', label: 'People' },
  { to: '/admin/audit', label: 'Audit' },
];

interface AdminPageProps {
  title: string;
  heading?: string;
  children: ReactNode;
}

export function AdminPage({ children, ...page }: AdminPageProps) {
  return (
    <>
      <nav aria-label="Admin" className="mb-6 flex gap-x-5 border-b border-line">
        {pages.map(({ to, label }) => (
          <NavLink
            key={to}
            to={to}
            className="-mb-px border-b-2 border-transparent py-2.5 font-medium text-muted hover:text-ink aria-[current=page]:border-brass aria-[current=page]:text-ink"
          >
            {label}
          </NavLink>
        ))}
      </nav>
      <Page {...page}>{children}</Page>
    </>
  );
}
