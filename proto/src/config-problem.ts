/** What is wrong with a configuration document, and where. */

/** One problem of a document. */
export interface ConfigProblem {
  /** Line, from 1. */
  readonly line: number;
  /** Column in characters, from 1. */
  readonly column: number;
  /** Path of the setting, for example "network.interfaces[0].name"; empty for the document as a whole. */
  readonly path: string;
  /** What was found. */
  readonly message: string;
  /** What was expected there. */
  readonly expected: string;
  /** What was probably meant. */
  readonly suggestion?: string;
}

/** Most problems that are reported for one document. */
export const PROBLEMS_MAX = 50;

/** Way to a setting: keys and list indexes from the top of the document. */
export type ConfigPath = readonly (string | number)[];

/** A problem whose position is not yet looked up. */
export interface PathProblem {
  readonly path: ConfigPath;
  /** Points at the key instead of at its value. */
  readonly atKey?: boolean;
  readonly message: string;
  readonly expected: string;
  readonly suggestion?: string;
}

/** Text of a path: "network.interfaces[0].name". */
export function pathText(path: ConfigPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

const SHOWN_CHARACTERS_MAX = 60;

/** A value in words, cut to a readable length: `the number 5`, `the text "eth0"`, `a list`. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing (an empty value)';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `the text ${quoted(value)}`;
  return `the ${typeof value} ${String(value)}`;
}

/** Text in quotes, with escapes for what cannot be printed, cut to a readable length. */
export function quoted(text: string): string {
  const characters = [...text.slice(0, 2 * SHOWN_CHARACTERS_MAX)];
  const cut = characters.length > SHOWN_CHARACTERS_MAX || text.length > 2 * SHOWN_CHARACTERS_MAX;
  return JSON.stringify(cut ? `${characters.slice(0, SHOWN_CHARACTERS_MAX).join('')}…` : text);
}
