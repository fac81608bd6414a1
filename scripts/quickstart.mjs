// `npm run quickstart`: from a bare machine to a node that answers its enrolled operator. This half runs on any Node
// from 20 on and brings the checkout to the point where the other half (lib/quickstart-node.mjs) can run on the Node
// that comes with the packages.

import { parseArgs } from 'node:util';
import { runOnPinnedNode } from './lib/pinned-node.mjs';
import { createProgress } from './lib/progress.mjs';
import { setup } from './setup.mjs';

const HELP = `Usage: npm run quickstart -- [options]

Builds KeelOS, boots it in QEMU, enrols you as the node's operator and leaves the node running.
Whatever is done already is not done again: the second run takes under a minute.

Options:
  --once      power the node off at the end
  --update    build a second version as well; update the node to it, go back with a reason, and show the history
  --json      print one JSON object on standard output at the end; progress goes to standard error as JSON lines
  -h, --help  this text

Environment:
  KEEL_CACHE     where everything that is built is kept (default: ~/.cache/keelos)
  KEEL_VM_DIR    folder of the node's disk, console log and sockets (default: .vm/node in the checkout)
  KEEL_VM_PORT   port on this machine that leads to the node's API (default: 50051, or a free one)
  OSCTL_CONFIG   the contexts file that osctl uses; the context is called "quickstart" and is made the current one

Exit code: 0 when the node was healthy, 1 when a step failed, 2 for a wrong command line, 130 when interrupted
(143 by SIGTERM, 129 by SIGHUP).
`;

/** @returns {Promise<number>} exit code */
async function main() {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      update: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const progress = createProgress({ json: values.json });
  try {
    await setup({ progress });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const step = progress.timings.at(-1)?.title ?? 'setup';
    process.stderr.write(`\nThe step "${step}" failed: ${message}\n`);
    process.stderr.write('Mend that and run it again: it goes on where it stopped.\n');
    if (values.json) {
      process.stdout.write(
        `${JSON.stringify({ ok: false, steps: progress.timings, step, error: message })}\n`,
      );
    }
    return 1;
  }
  return runOnPinnedNode('scripts/lib/quickstart-node.mjs', process.argv.slice(2), {
    env: { KEEL_SETUP_TIMINGS: JSON.stringify(progress.timings) },
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error;
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  if (isUsage) process.stderr.write(HELP);
  process.exitCode = isUsage ? 2 : 1;
}
