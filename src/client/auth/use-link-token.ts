import { useLayoutEffect, useState } from 'react';
import { useLocation, useNavigate } from 'react-router';

/**
 * The token of the mailed link that has opened this page, from the fragment, which browsers do not send to servers. It is
 * removed from the address bar and the history, and lives in memory from then on.
 * @returns undefined without one, as after a reload
 */
export function useLinkToken(): string | undefined {
  const { pathname, hash } = useLocation();
  const navigate = useNavigate();
  const found = new URLSearchParams(hash.slice(1)).get('token') || undefined;
  const [kept, keep] = useState(found);
  // Another link, opened in this tab, changes only the fragment.
  if (found !== undefined && found !== kept) keep(found);
  useLayoutEffect(() => {
    if (found !== undefined) void navigate(pathname, { replace: true });
  }, [found, pathname, navigate]);
  return found ?? kept;
}
