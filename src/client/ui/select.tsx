import { type ComponentProps, useId } from 'react';

interface SelectProps extends Omit<ComponentProps<'select'>, 'id' | 'className' | 'children'> {
  label: string;
  options: readonly { value: string; label: string }[];
}

export function Select({ label, options, ...select }: SelectProps) {
  const id = useId();
  return (
    <div>
      <label htmlFor={id} className="block font-medium">
        {label}
      </label>
      <select
        {...select}
        id={id}
        className="mt-1.5 min-h-11 w-full min-w-0 rounded-lg border border-edge bg-surface px-3 py-2 text-ink"
      >
        {options.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}
