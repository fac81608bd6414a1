/** One answer, three forms: a table for people, JSON and YAML for programs. */
import { stringify } from 'yaml';
import type { Plain } from './plain.ts';

/** Forms of output. */
export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
/** One of {@link OUTPUT_FORMATS}. */
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** An answer: data with a stable schema, and the same for people. */
export interface View {
  readonly data: Plain;
  /** Lines for a terminal, without line ends. */
  readonly lines: readonly string[];
}

/** One column of a table. */
export interface Column<Row> {
  readonly header: string;
  readonly value: (row: Row) => string;
  /** Numbers stand at the right. */
  readonly align?: 'left' | 'right';
}

const GAP = '  ';

// Bytes that a node sends must not steer the terminal that shows them.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;

/** `text` with every control character but the tab replaced by an escape such as "\x1b": safe to show on a terminal. */
export function printable(text: string): string {
  return text.replace(
    CONTROL,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function cells<Row>(columns: readonly Column<Row>[], row: Row): string[] {
  return columns.map((column) => {
    const text = printable(column.value(row));
    return text === '' ? '-' : text;
  });
}

/** Lines of a table: header, then one line a row. The last column is never padded. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const grid = [
    columns.map((column) => column.header.toUpperCase()),
    ...rows.map((row) => cells(columns, row)),
  ];
  const widths = columns.map((_, index) =>
    Math.max(...grid.map((line) => [...(line[index] ?? '')].length)),
  );
  return grid.map((line) =>
    line
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        if (columns[index]?.align === 'right') return cell.padStart(width);
        return index === columns.length - 1 ? cell : cell.padEnd(width);
      })
      .join(GAP)
      .trimEnd(),
  );
}

/** Lines "name  value" of facts; an array value takes one line for each element. */
export function factLines(
  facts: readonly (readonly [name: string, value: string | readonly string[]])[],
): string[] {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.flatMap(([name, value]) => {
    const values = typeof value === 'string' ? [value] : value.length === 0 ? ['-'] : value;
    return values.map((text, index) =>
      `${(index === 0 ? name : '').padEnd(width)}${GAP}${printable(text) || '-'}`.trimEnd(),
    );
  });
}

/** Text of `view` in `format`, line end included; empty for a table without lines. */
export function render(view: View, format: OutputFormat): string {
  if (format === 'json') return `${JSON.stringify(view.data, null, 2)}\n`;
  if (format === 'yaml') return stringify(view.data, { lineWidth: 0 });
  return view.lines.map((line) => `${line}\n`).join('');
}

/** Text of one element of a stream: a line of compact JSON, a YAML document, or the lines. */
export function renderElement(view: View, format: OutputFormat): string {
  if (format === 'json') return `${JSON.stringify(view.data)}\n`;
  if (format === 'yaml') return `---\n${stringify(view.data, { lineWidth: 0 })}`;
  return render(view, format);
}
