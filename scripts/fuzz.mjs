// `npm run fuzz -- TARGET --seconds N [--seed S]`: brings the checkout to the point where a fuzzer can run, and runs it
// on the pinned Node.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createProgress } from './lib/progress.mjs';
import { CHECKOUT, setup } from './setup.mjs';

const args = process.argv.slice(2);
try {
  if (!args.includes('--help') && !args.includes('-h')) {
    await setup({ progress: createProgress() });
  }
  const program = join(CHECKOUT, 'node_modules/.bin/node');
  const child = spawn(program, [join(CHECKOUT, 'tests/fuzz/main.ts'), ...args], {
    stdio: 'inherit',
  });
  child.once('error', (error) => {
    process.stderr.write(`Cannot run ${program}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.once('close', (code) => {
    process.exitCode = code ?? 1;
  });
} catch (error) {
  process.stderr.write(`Cannot set up: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
