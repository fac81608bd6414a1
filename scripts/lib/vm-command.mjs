// What `npm run vm` does, on the pinned Node.

import { join } from 'node:path';
import { followConsole } from '../../image/src/shell/console-watch.ts';
import { attach } from '../../image/src/shell/vm.ts';
import { readRecord, resetNode, startNode, stopNode, vmDir } from './local-node.mjs';

const ANNOUNCE_TIMEOUT_MS = 240_000;

const say = (/** @type {string} */ line) => void process.stderr.write(`${line}\n`);
const print = (/** @type {string} */ line) => void process.stdout.write(`${line}\n`);

/** @type {Record<string, () => Promise<number>>} */
const COMMANDS = {
  start: async () => {
    const running = await attach(vmDir());
    if (running !== undefined) {
      print(`It runs already: API at 127.0.0.1:${running.apiPort}`);
      return 0;
    }
    const vm = await startNode({ say });
    say(
      `Started (${vm.accelerator}); waiting for its API. Console: ${join(vmDir(), 'console.log')}`,
    );
    await vm.announcement({ timeoutMs: ANNOUNCE_TIMEOUT_MS });
    print(`It runs: API at 127.0.0.1:${vm.apiPort}`);
    return 0;
  },
  stop: async () => {
    const vm = await attach(vmDir());
    if (vm === undefined) {
      print('It does not run.');
      return 0;
    }
    await stopNode(vm, { say });
    print('Powered off.');
    return 0;
  },
  status: async () => {
    const [vm, record] = [await attach(vmDir()), await readRecord()];
    const facts = {
      exists: record !== undefined,
      running: vm !== undefined,
      pid: vm?.pid ?? null,
      endpoint: vm === undefined ? null : `127.0.0.1:${vm.apiPort}`,
      accelerator: vm?.accelerator ?? null,
      folder: vmDir(),
      console: join(vmDir(), 'console.log'),
      rootHash: record?.rootHash ?? null,
    };
    if (process.argv.includes('--json')) print(JSON.stringify(facts));
    else
      for (const [key, value] of Object.entries(facts)) print(`${key.padEnd(12)} ${value ?? '-'}`);
    if (record === undefined) return 6;
    return vm === undefined ? 3 : 0;
  },
  reset: async () => {
    await resetNode();
    print('Thrown away. `npm run quickstart` makes a new one.');
    return 0;
  },
  console: async () => {
    const vm = await attach(vmDir());
    if (vm === undefined) {
      say('The node does not run. Start it with: npm run vm -- start');
      return (await readRecord()) === undefined ? 6 : 3;
    }
    await followConsole(vm, (bytes) => process.stdout.write(bytes));
    say('\nThe node does not run any more.');
    return 0;
  },
};

// Whoever read our output has seen enough (as in `npm run vm -- console | head`): that is not an error.
process.stdout.on('error', (error) => {
  if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EPIPE') process.exit(0);
  say(`Cannot write the output: ${error.message}`);
  process.exit(1);
});
process.once('SIGINT', () => process.exit(0));
try {
  process.exitCode = await COMMANDS[process.argv[2] ?? '']?.();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
