import type { Summary } from './statistics.ts';

export interface Row {
  what: string;
  /** The median, with the lowest and highest round in parentheses. */
  reached: string;
  aim?: string;
  /** The underlying figures. Unlike ratios, they depend on the machine. */
  figures?: string;
}

export type Part = () => Promise<Row[]>;

export function round(number: number, digits = 0): string {
  const [whole = '', fraction] = number.toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ' ');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** For example `1.23 (1.19–1.30)`. */
export const withSpread = ({ median, min, max }: Summary, digits = 2): string =>
  `${round(median, digits)} (${round(min, digits)}–${round(max, digits)})`;

export const perSecond = ({ median }: Summary, digits = 0): string => `${round(median, digits)}/s`;
export const milliseconds = ({ median }: Summary, digits = 0): string => `${round(median, digits)} ms`;
export const megabytes = ({ median }: Summary): string => `${round(median)} MB`;
export const kilobytes = (bytes: number): string => `${round(bytes / 1024, 1)} KB`;

const COLUMNS = ['measured', 'reached', 'aim', 'figures'] as const;

/** A Markdown table, padded as the formatter would. */
export function toTable(rows: readonly Row[]): string {
  const lines = [COLUMNS, ...rows.map(({ what, reached, aim = '', figures = '' }) => [what, reached, aim, figures])];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const toLine = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = lines;
  return [toLine(head), toLine(widths.map((width) => '-'.repeat(width))), ...body.map(toLine)].join('\n');
}
