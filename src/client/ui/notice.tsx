import { type ReactNode, useEffect, useRef } from 'react';

interface NoticeProps {
  tone: 'problem' | 'calm';
  takesFocus?: boolean;
  children: ReactNode;
}

const tones = {
  problem: 'border-problem bg-problem-tint',
  calm: 'border-brass bg-brass-tint',
};

export function Notice({ tone, takesFocus = false, children }: NoticeProps) {
  const notice = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (takesFocus) notice.current?.focus();
  }, [takesFocus]);
  return (
    <div
      ref={notice}
      role={tone === 'problem' ? 'alert' : 'status'}
      tabIndex={-1}
      className={`w-full rounded-lg border-l-4 px-4 py-3 ${tones[tone]}`}
    >
      {children}
    </div>
  );
}
