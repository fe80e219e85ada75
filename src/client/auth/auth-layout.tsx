import type { ReactNode } from 'react';
import { Page } from '../ui/page.tsx';

interface DoorwayProps {
  title: string;
  heading: string;
  children: ReactNode;
}

/** The frame of the pages that lead in. */
export function AuthLayout({ title, heading, children }: DoorwayProps) {
  return (
    <div className="grid grow items-stretch gap-16 lg:grid-cols-[minmax(0,26rem)_1fr]">
      <div className="mx-auto flex w-full max-w-104 flex-col gap-8">
        <Page title={title} heading={heading}>
          {children}
        </Page>
      </div>
      <div className="door hidden rounded-3xl lg:block" />
    </div>
  );
}
