/** One line on stderr that is written over again and again, for a person who waits. */
import { printable } from '../core/render.ts';
import type { Invocation } from './invocation.ts';

/** Carriage return, then "erase in line" (ECMA-48): the line is free again. */
const LINE_START = '\r\u001b[K';

/** A line that goes away. */
export interface ProgressLine {
  /** True when somebody sees it: a terminal, and no output for programs. Otherwise nothing is written. */
  readonly isShown: boolean;
  show(text: string): void;
  /** Leaves `text` for good, and goes on with a new line. */
  keep(text: string): void;
  clear(): void;
}

/** The progress line of one command. */
export function progressLine({ host, globals }: Invocation): ProgressLine {
  const { terminal } = host;
  const isShown = terminal.isErrShown && globals.output === 'table';
  const write = (text: string) => {
    if (isShown) terminal.err(`${LINE_START}${text}`);
  };
  return {
    isShown,
    show: (text) => write(printable(text)),
    keep: (text) => write(`${printable(text)}\n`),
    clear: () => write(''),
  };
}
