/** Finds what a module imports and which words stand in its code. */
import { lineAt } from './tree.ts';

/** One import, static or dynamic, of values or of types. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** Names that are imported, in braces; empty for everything else. */
  readonly names: readonly string[];
}

const STATIC = /^[ \t]*(?:import|export)\b([^'"`;]*?)\bfrom\s*['"]([^'"]+)['"]/gm;
const BARE = /^[ \t]*import\s*['"]([^'"]+)['"]/gm;
const DYNAMIC = /\b(?:import|require|resolve)\s*\(\s*['"]([^'"]+)['"]/g;

/** Imports of a module in the order of their lines. */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const { 1: clause = '', 2: specifier = '', index } of code.matchAll(STATIC)) {
    const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? '';
    const names = braces
      .split(',')
      .map((name) =>
        name
          .trim()
          .replace(/^type\s+/, '')
          .replace(/\s+as\s.*$/, ''),
      )
      .filter((name) => name !== '');
    found.push({ specifier, line: lineAt(code, index), names });
  }
  for (const pattern of [BARE, DYNAMIC]) {
    for (const { 1: specifier = '', index } of code.matchAll(pattern)) {
      found.push({ specifier, line: lineAt(code, index), names: [] });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

/**
 * A text with its comments blanked out, lines kept. Strings are kept too; a regular expression that holds quotation
 * marks may hide a comment behind it, never code.
 */
export function withoutComments(text: string): string {
  const token =
    /\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(token, (match) =>
    match.startsWith('/') ? match.replace(/[^\n]/g, ' ') : match,
  );
}

/** A text with comments and the content of plain strings blanked out, for looking for code. */
export function codeOnly(text: string): string {
  return withoutComments(text).replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (match) =>
    match.replace(/[^\n]/g, ' '),
  );
}
