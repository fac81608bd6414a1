// `npm test`: everything that must be true before a change is accepted. Installs what it needs, runs every stage even
// when one before it failed (but what cannot run without it), and ends with the line `N passed, N failed`.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { formatSeconds } from './lib/progress.mjs';
import { createRun, PACKAGES } from './lib/test-run.mjs';
import { CHECKOUT } from './setup.mjs';

const HELP = `Usage: npm test -- [options]

Runs setup, lint, type check, API checks, unit tests, checks with other people's tools, and tests on nodes in QEMU.

Options:
  --package NAME   only the unit tests of one package (${PACKAGES.join(', ')}),
                   or of one folder of tests/ (qemu, oracle, docs, crash)
  --grep PATTERN   only tests whose title matches; stages without titles are left out
  --no-qemu        leave out what boots a node
  --only-qemu      only what boots a node
  --file NAME      of what boots a node (with --long also of the crash simulation) only this file, without .test.ts;
                   may be given more than once
  --long           instead of all this the sweeps that take hours: crash simulation, power cuts, broken releases
  --verbose        a line for every test that passes, not for slow ones alone
  -h, --help       this text

Environment:
  KEEL_CACHE     where everything that is built is kept (default: ~/.cache/keelos)
  KEEL_SLOW=1    also what takes a quarter of an hour: a token is left to expire
  KEEL_CYCLES=N  how often a node is switched off and on (default: 2)
  KEEL_CUTS=N    how often --long cuts the power during an update (default: 50)
  KEEL_POINTS=N  how many flushes of an update --long boots from (default: 30)
  KEEL_SEED=N    what --long and the crash simulation draw from: the same number, the same moments
                 (default: 1; the crash simulation takes numbers by chance and prints them)

Exit code: 0 when every test passed and at least one ran, 1 otherwise, 2 for a wrong command line.
Logs of nodes that failed a test: .vm/failed/
`;

async function main() {
  const { values } = parseArgs({
    options: {
      package: { type: 'string' },
      grep: { type: 'string' },
      'no-qemu': { type: 'boolean', default: false },
      'only-qemu': { type: 'boolean', default: false },
      file: { type: 'string', multiple: true, default: [] },
      long: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values['no-qemu'] && values['only-qemu']) {
    process.stderr.write('--no-qemu and --only-qemu leave nothing to run\n');
    return 2;
  }
  const run = createRun({
    checkout: CHECKOUT,
    package: values.package,
    grep: values.grep,
    qemu: !values['no-qemu'],
    host: !values['only-qemu'],
    verbose: values.verbose,
    long: values.long,
    files: values.file,
    // Two at a time keep two cores busy; more emulated machines only make each slower than its time limits allow.
    atATime: Math.max(1, Math.min(2, availableParallelism())),
  });
  const { stages, passed, failed, hasTested } = await run();
  process.stdout.write('\nTime of each stage:\n');
  for (const stage of stages) {
    const counts = `${stage.passed} passed, ${stage.failed} failed`;
    process.stdout.write(
      `  ${formatSeconds(stage.seconds).padStart(12)}  ${stage.name}: ${counts}\n`,
    );
  }
  for (const stage of stages) {
    for (const failure of stage.failures) {
      process.stdout.write(`\nFAILED ${stage.name}: ${failure.title}\n`);
      process.stdout.write(`${failure.message.split('\n').slice(0, 30).join('\n')}\n`);
    }
  }
  if (failed === 0 && !hasTested) process.stdout.write('\nNothing ran: no test matches.\n');
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 && hasTested ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error;
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  if (isUsage) process.stderr.write(HELP);
  process.exitCode = isUsage ? 2 : 1;
}
