/** The files of a tree as the rules see them. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Path from the top of the tree, with slashes, to content. */
export type Tree = ReadonlyMap<string, Buffer>;

/** A rule: every breach as `path[:line]: what`, none when the tree keeps it. */
export type Rule = (tree: Tree) => readonly string[];

/** A tree from texts, for tests of the rules. */
export function treeOf(files: Readonly<Record<string, string | Buffer>>): Tree {
  return new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
}

/** The files of the checkout that git knows; those that were deleted and not yet committed are left out. */
export function trackedTree(checkout: string): Tree {
  const names = execFileSync('git', ['ls-files', '-z'], { cwd: checkout, encoding: 'utf8' });
  const paths = names.split('\0').filter((path) => path !== '' && existsSync(join(checkout, path)));
  return new Map(paths.map((path) => [path, readFileSync(join(checkout, path))]));
}

/** Source files in the tree: TypeScript and JavaScript, none that is generated. */
export function sources(tree: Tree): { path: string; text: string }[] {
  return [...tree]
    .filter(([path]) => /\.(ts|mjs|js)$/.test(path))
    .map(([path, content]) => ({ path, text: content.toString('utf8') }));
}

/** True for tests and what only they use. */
export function isTest(path: string): boolean {
  return /(^|\/)tests?\//.test(path) || path.endsWith('.test.ts');
}

/** Line number of an offset, from 1. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
