import { Link, type LinkProps } from 'react-router';

export function TextLink(props: Omit<LinkProps, 'className'>) {
  return (
    <Link
      {...props}
      className="inline-block rounded-sm py-2.5 font-medium text-ink underline decoration-brass decoration-2 underline-offset-4 hover:decoration-ink"
    />
  );
}
