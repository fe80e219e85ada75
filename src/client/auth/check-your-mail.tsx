import type { ReactNode } from 'react';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { AuthLayout } from './auth-layout.tsx';

interface CheckYourMailProps {
  /** What has been sent to whom. */
  children: ReactNode;
  again: string;
  onAgain: () => void;
}

export function CheckYourMail({ children, again, onAgain }: CheckYourMailProps) {
  return (
    <AuthLayout title="Check your mail">
      <Notice tone="calm" takesFocus>
        {children}
      </Notice>
      <p className="text-muted">Nothing there after a few minutes? Look in your spam folder, and check the address.</p>
      <div className="flex flex-wrap items-center gap-x-6 gap-y-3">
        <Button kind="quiet" onClick={onAgain}>
          {again}
        </Button>
        <TextLink to="/login">Back to the login</TextLink>
      </div>
    </AuthLayout>
  );
}
