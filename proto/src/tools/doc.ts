/**
 * Writes the reference pages that come from this package: `node proto/src/tools/doc.ts`. With --check it only compares, names
 * every page that is old, and exits with 1 when there is one.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apiPage } from '../pages/api-page.ts';
import { errorsPage } from '../pages/errors-page.ts';
import { nodeConfigPage, nodeConfigSchemaFile } from '../pages/node-config-page.ts';
import { buildApi, CHECKOUT } from './buf.ts';

async function pages(): Promise<ReadonlyMap<string, string>> {
  const example = await readFile(join(CHECKOUT, 'proto/examples/node.yaml'), 'utf8');
  return new Map([
    ['docs/reference/api.md', apiPage(await buildApi())],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/node-config.md', nodeConfigPage(example)],
    ['docs/reference/node-config.schema.json', nodeConfigSchemaFile()],
  ]);
}

async function main(): Promise<number> {
  const checkOnly = process.argv.includes('--check');
  let old = 0;
  for (const [name, wanted] of await pages()) {
    const path = join(CHECKOUT, name);
    const found = await readFile(path, 'utf8').catch(() => ''); // an absent page is an old one
    if (found === wanted) continue;
    if (checkOnly) {
      process.stderr.write(`${name} is old: run node scripts/docs.mjs\n`);
      old += 1;
    } else {
      await writeFile(path, wanted);
    }
  }
  return old === 0 ? 0 : 1;
}

process.exitCode = await main();
