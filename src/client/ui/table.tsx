/* oxlint-disable jsx-a11y/no-redundant-roles, jsx-a11y/no-interactive-element-to-noninteractive-role -- the roles are needed, as Table says, and `oxlint --fix` would remove them */
import { Children, type ReactNode } from 'react';

interface TableProps {
  /** What the table lists, for screen readers. */
  caption: string;
  columns: readonly string[];
  /** Of `Row`. */
  children: ReactNode;
}

/**
 * A table where there is room, and a card for each row on a phone.
 * The roles are those that the elements have anyway: without them, some browsers take `display: block` for the end of a table.
 */
export function Table({ caption, columns, children }: TableProps) {
  return (
    <table role="table" className="block w-full md:table">
      <caption className="sr-only">{caption}</caption>
      <thead role="rowgroup" className="sr-only md:not-sr-only md:table-header-group">
        <tr role="row" className="md:table-row">
          {columns.map((column) => (
            <th
              key={column}
              role="columnheader"
              scope="col"
              className="border-b border-line pr-5 pb-2 text-left text-sm font-medium text-muted last:pr-0"
            >
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup" className="block md:table-row-group">
        {children}
      </tbody>
    </table>
  );
}

interface RowProps {
  columns: readonly string[];
  /** One for each column. The first names the row. */
  children: ReactNode;
}

export function Row({ columns, children }: RowProps) {
  const [heading, ...cells] = Children.toArray(children);
  return (
    <tr role="row" className="block border-b border-line py-3 md:table-row md:py-0">
      <th
        role="rowheader"
        scope="row"
        className="block text-left font-medium wrap-anywhere md:table-cell md:py-2 md:pr-5"
      >
        {heading}
      </th>
      {cells.map((cell, index) => {
        const column = columns[index + 1];
        return (
          <td
            key={column}
            role="cell"
            className="grid grid-cols-[5rem_minmax(0,1fr)] gap-x-3 py-0.5 wrap-anywhere md:table-cell md:py-2 md:pr-5 md:last:pr-0"
          >
            {/* The header is out of sight on a phone, but screen readers still read it. */}
            <span aria-hidden className="text-sm text-muted md:hidden">
              {column}
            </span>
            <span>{cell}</span>
          </td>
        );
      })}
    </tr>
  );
}
