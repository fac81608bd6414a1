// `npm run vm -- COMMAND`: the node that quickstart has made. Starts the other half on the pinned Node.

import { hasPinnedNode, runOnPinnedNode } from './lib/pinned-node.mjs';

const HELP = `Usage: npm run vm -- COMMAND

Manages the node that \`npm run quickstart\` has made.

Commands:
  start     start it on its disk, and wait until its API answers
  stop      power it off in order
  console   print its console from the present boot on, and follow it (Ctrl-C ends that, not the node)
  status    say whether it runs, where its API is, and where its files are; with --json as JSON
  reset     throw it away with its disk; the next quickstart makes a new one

Environment: KEEL_VM_DIR and KEEL_VM_PORT as for quickstart.
Exit code: 0 done (status: it runs), 1 failed, 2 wrong command line, 3 status: it does not run, 6 there is no node.
`;

const [command = '', ...rest] = process.argv.slice(2);
const commands = ['start', 'stop', 'console', 'status', 'reset'];
const isHelp = [command, ...rest].some((arg) => arg === '--help' || arg === '-h');
const isRight =
  commands.includes(command) &&
  (rest.length === 0 || (command === 'status' && rest.length === 1 && rest[0] === '--json'));

if (isHelp) {
  process.stdout.write(HELP);
} else if (!isRight) {
  if (command !== '') process.stderr.write(`Unknown: ${[command, ...rest].join(' ')}\n\n`);
  process.stderr.write(HELP);
  process.exitCode = 2;
} else if (hasPinnedNode()) {
  process.exitCode = await runOnPinnedNode('scripts/lib/vm-command.mjs', [command, ...rest]);
} else {
  process.stderr.write('There is no node yet. Make one with: npm run quickstart\n');
  process.exitCode = 6;
}
