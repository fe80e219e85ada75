import type { ComponentProps } from 'react';
import { Page } from '../ui/page.tsx';

export function AuthLayout(props: ComponentProps<typeof Page>) {
  return (
    <div className="grid grow items-stretch gap-16 lg:grid-cols-[minmax(0,26rem)_1fr]">
      <div className="mx-auto flex w-full max-w-104 flex-col gap-8">
        <Page {...props} />
      </div>
      <div className="door hidden rounded-3xl lg:block" />
    </div>
  );
}
