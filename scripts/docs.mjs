// Writes every page of docs/reference that is made from code or data: `node scripts/docs.mjs`. With --check nothing is
// written; every page that is old is named, and the exit code is 1 when there is one.

import { fileURLToPath } from 'node:url';
import { exec } from './lib/exec.mjs';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));
const TIMEOUT_MS = 120_000;

/** The generators: what each makes, and its command; every one knows --check. */
export const GENERATORS = [
  { pages: 'api, errors, node-config', command: ['proto/src/tools/doc.ts'] },
  { pages: 'kernel', command: ['kernel/src/main.ts', 'doc'] },
  { pages: 'image-contents', command: ['image/src/main.ts', 'doc'] },
  { pages: 'osctl', command: ['osctl/src/reference-doc.ts'] },
];

async function main() {
  const [option, ...more] = process.argv.slice(2);
  if ((option !== undefined && option !== '--check') || more.length > 0) {
    process.stderr.write('Usage: node scripts/docs.mjs [--check]\n');
    return 2;
  }
  let failures = 0;
  for (const { pages, command } of GENERATORS) {
    const args = option === undefined ? command : [...command, option];
    try {
      await exec(`${CHECKOUT}node_modules/.bin/node`, args, {
        cwd: CHECKOUT,
        timeoutMs: TIMEOUT_MS,
      });
    } catch (error) {
      failures += 1;
      process.stderr.write(`${pages}: ${error instanceof Error ? error.message : error}\n`);
    }
  }
  return failures === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
