/** Sizes of files, and what must not be in any of them. */
import { isTest, lineAt, type Rule, sources } from './tree.ts';

/** Longest source file, in lines. */
export const FILE_LINES_MAX = 400;
/** Largest binary file in the repository, in bytes. */
export const BINARY_BYTES_MAX = 65_536;

/** Files over the limit of lines, but for `exceptions` (path to reason). */
export function fileLength(exceptions: Readonly<Record<string, string>>): Rule {
  return (tree) =>
    sources(tree).flatMap(({ path, text }) => {
      const lines = text.split('\n').length - 1;
      const isLong = lines > FILE_LINES_MAX;
      if (isLong === Object.hasOwn(exceptions, path)) return [];
      return isLong
        ? [`${path}: ${lines} lines, at most ${FILE_LINES_MAX}`]
        : [`${path}: needs no exception for its length any more`];
    });
}

/** Binary files over the limit. */
export const noLargeBinaries: Rule = (tree) =>
  [...tree]
    .filter(([, content]) => content.length > BINARY_BYTES_MAX && content.includes(0))
    .map(([path, content]) => `${path}: a binary file of ${content.length} bytes`);

/** A text that must not be in a file. Written in two halves here, so that this file itself is clean. */
interface Forbidden {
  readonly pattern: RegExp;
  readonly what: string;
  /** Only in files whose path fits. */
  readonly where?: RegExp;
}

const half = (first: string, second: string, flags = 'g') => new RegExp(first + second, flags);

const FORBIDDEN: readonly Forbidden[] = [
  { pattern: half('\\b(TO', 'DO|FIX' + 'ME|XX' + 'X|HA' + 'CK)\\b'), what: 'a note to self' },
  {
    pattern: half(
      'https?://',
      '(registry|deb|security|snapshot|archive|proxy|index|mirrors?|ftp)\\.[a-z0-9.-]+',
    ),
    what: 'the host of a registry or mirror',
  },
  {
    pattern: half('\\b(npmjs\\.', 'org|debian\\.org/debian|golang\\.org/proxy|yarnpkg\\.com)'),
    what: 'the host of a registry or mirror',
  },
  {
    pattern: half('(?<![\\w.~$}/-])/(wo', 'rk|home/[a-z][\\w-]*|Users|root|build' + 's)/'),
    what: 'a path of one machine',
  },
  {
    pattern: half('\\b(it|describe|test)\\.(sk', 'ip|only)\\('),
    what: 'a test that is left out or alone',
    where: /\.test\.ts$/,
  },
];

/** A forbidden text that one file may have, and why. */
export interface TextException {
  readonly path: string;
  readonly text: string;
  readonly reason: string;
}

/** Notes to self, registry hosts, paths of one machine, tests that are left out; but for `exceptions`. */
export function forbiddenText(exceptions: readonly TextException[]): Rule {
  return (tree) => {
    const used = new Set<TextException>();
    const problems: string[] = [];
    for (const [path, content] of tree) {
      if (content.includes(0) || path === 'package-lock.json') continue;
      for (const { what, found, line } of forbiddenIn(path, content.toString('utf8'))) {
        const exception = exceptions.find(
          (each) => each.path === path && found.includes(each.text),
        );
        if (exception === undefined) problems.push(`${path}:${line}: ${what}: ${found}`);
        else used.add(exception);
      }
    }
    for (const exception of exceptions) {
      if (used.has(exception) || !tree.has(exception.path)) continue;
      problems.push(`${exception.path}: needs no exception for ${exception.text} any more`);
    }
    return problems;
  };
}

function forbiddenIn(path: string, text: string): { what: string; found: string; line: number }[] {
  return FORBIDDEN.filter(({ where }) => where === undefined || where.test(path)).flatMap(
    ({ pattern, what }) =>
      [...text.matchAll(pattern)].map(({ 0: found, index }) => ({
        what,
        found: found.trim(),
        line: lineAt(text, index),
      })),
  );
}

/** File names that say nothing of what is inside. */
export const namedAfterContent: Rule = (tree) =>
  sources(tree)
    .map(({ path }) => path)
    .filter((path) => /(^|\/)(utils?|helpers?|common|misc|index)(\/|\.(ts|mjs|js)$)/.test(path))
    .map((path) => `${path}: the name says nothing of what is inside`);

/** Exports of source files without a docstring. */
export const documentedExports: Rule = (tree) =>
  sources(tree)
    .filter(({ path }) => path.endsWith('.ts') && path.includes('/src/') && !isTest(path))
    .flatMap(({ path, text }) => {
      const lines = text.split('\n');
      return lines.flatMap((line, index) => {
        const isExport =
          /^export (async )?(function|const|class|interface|type|abstract)\b(?! \{)/.test(line);
        const before = lines[index - 1] ?? '';
        const isDocumented =
          /\*\/\s*$/.test(before) || /^\/\/ /.test(before) || /^\s*(@|\/\/ biome)/.test(before);
        return isExport && !isDocumented
          ? [`${path}:${index + 1}: an export without a docstring`]
          : [];
      });
    });
