import type { ComponentProps, MouseEvent } from 'react';

interface ButtonProps extends Omit<ComponentProps<'button'>, 'disabled' | 'className'> {
  kind?: 'main' | 'quiet';
  busy?: boolean;
}

const kinds = {
  main: 'border-transparent bg-action text-on-action hover:bg-action-hover',
  quiet: 'border-edge bg-surface text-ink hover:bg-paper',
};

const ignore = (event: MouseEvent) => event.preventDefault();

/** While busy, ignores clicks but keeps the focus, which `disabled` would move to the body. */
export function Button({ kind = 'main', busy = false, type = 'button', onClick, children, ...rest }: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      aria-disabled={busy}
      onClick={busy ? ignore : onClick}
      className={`relative min-h-11 cursor-pointer rounded-lg border px-5 py-2 font-semibold transition-colors aria-disabled:cursor-progress ${kinds[kind]}`}
    >
      <span className={busy ? 'opacity-30' : ''}>{children}</span>
      {busy && (
        <span className="absolute inset-0 m-auto size-5 animate-spin rounded-full border-2 border-current border-r-transparent" />
      )}
    </button>
  );
}
