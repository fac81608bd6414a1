/**
 * Writes docs/reference/osctl.md from the command tree: `node osctl/src/reference-doc.ts`. With --check it only
 * compares, and exits with 1 when the page is old.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandTree } from './commands/tree.ts';
import { referencePage } from './core/reference.ts';

const path = fileURLToPath(new URL('../../docs/reference/osctl.md', import.meta.url));
const page = referencePage(commandTree);

if (process.argv.includes('--check')) {
  const present = await readFile(path, 'utf8').catch(() => '');
  if (present !== page) {
    process.stderr.write('docs/reference/osctl.md is old: run node osctl/src/reference-doc.ts\n');
    process.exitCode = 1;
  }
} else {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, page);
}
