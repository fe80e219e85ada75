import { TextLink } from '../ui/text-link.tsx';
import { Page } from '../ui/page.tsx';

export function NotFoundPage() {
  return (
    <Page title="Page not found">
      <p className="mt-4 max-w-prose text-muted">
        There is nothing at this address. It may have moved, or never existed.
      </p>
      <p className="mt-6">
        <TextLink to="/">Go to the start page</TextLink>
      </p>
    </Page>
  );
}
