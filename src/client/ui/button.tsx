import type { ComponentProps, MouseEvent } from 'react';

interface ButtonProps extends Omit<ComponentProps<'button'>, 'disabled' | 'className'> {
  kind?: 'main' | 'quiet' | 'danger';
  busy?: boolean;
  /** Has no effect for now. Say why beside it, or in the label. */
  unavailable?: boolean;
}

const kinds = {
  main: 'border-transparent bg-action text-on-action hover:bg-action-hover',
  quiet: 'border-edge bg-surface text-ink hover:bg-paper',
  danger: 'border-problem bg-surface text-problem hover:bg-problem-tint',
};

const ignore = (event: MouseEvent) => event.preventDefault();

/** While busy or unavailable, ignores clicks but keeps the focus, which `disabled` would move to the body. */
export function Button({
  kind = 'main',
  busy = false,
  unavailable = false,
  type = 'button',
  onClick,
  children,
  ...rest
}: ButtonProps) {
  const cursor = busy ? 'cursor-progress' : unavailable ? 'cursor-not-allowed' : 'cursor-pointer';
  return (
    <button
      {...rest}
      type={type}
      aria-disabled={busy || unavailable}
      onClick={busy || unavailable ? ignore : onClick}
      className={`relative min-h-11 rounded-lg border px-5 py-2 font-semibold transition-colors ${cursor} ${kinds[kind]}`}
    >
      <span className={busy ? 'opacity-30' : unavailable ? 'text-muted' : ''}>{children}</span>
      {busy && (
        <span className="absolute inset-0 m-auto size-5 animate-spin rounded-full border-2 border-current border-r-transparent" />
      )}
    </button>
  );
}
