// `npm run delta -- OLD NEW OUT [--key FILE] [--max-memory BYTES] [--json]`: brings the checkout to the point where deltas
// can be made, and makes one: keel-image delta.

import { resolve } from 'node:path';
import { runOnPinnedNode } from './lib/pinned-node.mjs';
import { createProgress } from './lib/progress.mjs';
import { setup } from './setup.mjs';

const FILES = 3;

// npm starts scripts at the top of the checkout, and says where it was called.
const folder = process.env.INIT_CWD ?? process.cwd();
const [, , ...given] = process.argv;
const args = given.map((argument, index) =>
  index < FILES && !argument.startsWith('-') ? resolve(folder, argument) : argument,
);
try {
  if (!args.includes('--help') && !args.includes('-h')) {
    await setup({ progress: createProgress({ json: args.includes('--json') }) });
  }
  process.exitCode = await runOnPinnedNode('image/src/main.ts', ['delta', ...args]);
} catch (error) {
  process.stderr.write(`Cannot set up: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
