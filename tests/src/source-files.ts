/** The source files of the checkout, and what they import. */
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** One import of a file. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** One file. */
export interface SourceFile {
  /** Path from the root of the checkout. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const IMPORT =
  /^\s*(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

/** Every import, re-export and dynamic import with a literal name. Pure. */
export function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORT)].map((match) => ({
    specifier: match[1] ?? match[2] ?? match[3] ?? '',
    line: text.slice(0, match.index).split('\n').length,
  }));
}

/** Every TypeScript file below `<package>/src`, or below the packages' other folders named in `folders`. */
export async function sourceFiles(
  packages: readonly string[],
  folders: readonly string[] = ['src'],
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const name of packages) {
    for (const folder of folders) {
      const root = join(CHECKOUT, name, folder);
      const entries = await readdir(root, { recursive: true }).catch(() => []); // not every package has every folder
      for (const entry of entries.filter((each) => /\.(ts|mjs|cjs)$/.test(each)).sort()) {
        const text = await readFile(join(root, entry), 'utf8');
        files.push({ path: join(name, folder, entry), text, imports: importsOf(text) });
      }
    }
  }
  return files;
}
