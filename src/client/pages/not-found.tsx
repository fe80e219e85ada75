import { Page } from '../ui/page.tsx';
import { TextLink } from '../ui/text-link.tsx';

export function NotFoundPage() {
  return (
    <Page title="Page not found">
      <p className="mt-4 max-w-prose text-muted">
        There’s nothing here. The page may have moved, or the address may be mistyped.
      </p>
      <p className="mt-6">
        <TextLink to="/">Go to the home page</TextLink>
      </p>
    </Page>
  );
}
