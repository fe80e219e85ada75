import { useEffect, useRef } from 'react';
import { Button } from './button.tsx';

interface LoadMoreProps {
  hasMore: boolean;
  busy: boolean;
  onMore: () => void;
  /** What is shown so far: `50 people`. It is announced whenever it changes. */
  shown: string;
}

/** The end of a list that is loaded in pages. The focus stays here, and the next Tab does not start from the top of the page. */
export function LoadMore({ hasMore, busy, onMore, shown }: LoadMoreProps) {
  const status = useRef<HTMLOutputElement>(null);
  const wasUsed = useRef(false);
  useEffect(() => {
    // The button that had the focus is gone.
    if (!hasMore && wasUsed.current) status.current?.focus();
    wasUsed.current = false;
  }, [hasMore]);
  const more = () => {
    wasUsed.current = true;
    onMore();
  };
  return (
    <div className="mt-5 flex flex-wrap items-center gap-x-5 gap-y-3">
      {hasMore && (
        <Button kind="quiet" busy={busy} onClick={more}>
          Load more
        </Button>
      )}
      <output ref={status} tabIndex={-1} className="text-muted outline-none">
        {shown}
      </output>
    </div>
  );
}
