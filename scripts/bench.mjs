// `npm run bench -- NAME… [--json]`: brings the checkout to the point where a benchmark can run, and runs it on the
// pinned Node.

import { runOnPinnedNode } from './lib/pinned-node.mjs';
import { createProgress } from './lib/progress.mjs';
import { setup } from './setup.mjs';

const args = process.argv.slice(2);
try {
  if (!args.includes('--help') && !args.includes('-h')) {
    await setup({ progress: createProgress({ json: args.includes('--json') }) });
  }
  process.exitCode = await runOnPinnedNode('bench/main.ts', args);
} catch (error) {
  process.stderr.write(`Cannot set up: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
