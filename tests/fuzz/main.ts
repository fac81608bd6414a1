/** `npm run fuzz -- TARGET --seconds N [--seed S]` */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import type { Campaign, Found } from './campaign.ts';
import type { WorkerInput, WorkerMessage } from './campaign-worker.ts';
import { TARGETS } from './targets.ts';

const SECONDS_DEFAULT = 60;
/** An execution that takes this long by the clock never ends. */
const HANG_MS = 60_000;
const WATCH_MS = 1000;

const HELP = `Usage: npm run fuzz -- TARGET [options]

Targets: ${Object.keys(TARGETS).join(', ')}. Each makes inputs from right ones and checks that every one is refused with a
code, or accepted and read as an oracle reads it; never another exception, too much memory or too much time.

Options:
  --seconds N   how long (default ${SECONDS_DEFAULT})
  --seed S      whole number: the same seed makes the same inputs (default: from the clock; it is printed)
  --only I      only execution I of that seed: to repeat a finding
  -h, --help    this text

Findings go to .vm/fuzz/, each with the command that repeats it. Exit status: 0 none, 1 some, 2 wrong usage.
`;

const OPTIONS = {
  seconds: { type: 'string', default: String(SECONDS_DEFAULT) },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  only: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function commandLine() {
  try {
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return undefined;
  }
}

async function main(): Promise<number> {
  const line = commandLine();
  if (line === undefined) return 2;
  const { values, positionals } = line;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [target = ''] = positionals;
  const [seconds, seed, only] = [values.seconds, values.seed, values.only ?? '0'].map(Number);
  const areNumbers = [seconds, seed, only].every(
    (each) => Number.isInteger(each) && (each ?? -1) >= 0,
  );
  if (positionals.length !== 1 || !Object.hasOwn(TARGETS, target) || !areNumbers) {
    process.stderr.write(HELP);
    return 2;
  }
  process.stdout.write(`fuzz ${target}: seed ${seed}\n`);
  const campaign = await watch({
    target,
    seed: seed ?? 0,
    seconds: seconds ?? 0,
    only: values.only === undefined ? undefined : only,
    running: new SharedArrayBuffer(4),
  });
  for (const found of campaign.findings) await keep(found, { target, seed: seed ?? 0 });
  report(target, campaign);
  return campaign.findings.length === 0 ? 0 : 1;
}

/** Runs the campaign, and stops it when one execution does not end. */
function watch(input: WorkerInput): Promise<Campaign> {
  return new Promise((done, fail) => {
    const worker = new Worker(new URL('campaign-worker.ts', import.meta.url), {
      workerData: input,
    });
    const at = new Int32Array(input.running);
    let [last, sinceMs] = [-1, performance.now()];
    const timer = setInterval(() => {
      const index = Atomics.load(at, 0);
      if (index !== last) [last, sinceMs] = [index, performance.now()];
      else if (performance.now() - sinceMs > HANG_MS) {
        const hang = { index, reason: 'it does not end', input: new Uint8Array(0) };
        end(() => done({ executions: index, seconds: 0, findings: [hang], outcomes: new Map() }));
      }
    }, WATCH_MS);
    const end = (settle: () => void) => {
      clearInterval(timer);
      void worker.terminate().then(settle, fail);
    };
    worker.on('message', (message: WorkerMessage) => {
      if ('campaign' in message) end(() => done(message.campaign));
      else process.stdout.write(`  ${rate(message)}\n`);
    });
    worker.once('error', (error) => end(() => fail(error)));
  });
}

function rate({ executions, seconds }: { executions: number; seconds: number }): string {
  const perSecond = seconds === 0 ? 0 : Math.round(executions / seconds);
  return `${executions} executions in ${seconds.toFixed(1)} s (${perSecond}/s)`;
}

async function keep(
  found: Found,
  { target, seed }: { target: string; seed: number },
): Promise<void> {
  const folder = join(CHECKOUT, '.vm/fuzz');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${target}-${seed}-${found.index}`);
  const command = `npm run fuzz -- ${target} --seed ${seed} --only ${found.index}`;
  await writeFile(`${file}.bin`, found.input);
  await writeFile(`${file}.txt`, `${command}\n\n${found.reason}\n`);
  process.stdout.write(`FINDING ${found.index}: ${found.reason}\n  ${command}\n  ${file}.bin\n`);
}

function report(target: string, campaign: Campaign): void {
  const outcomes = [...campaign.outcomes].toSorted(([, a], [, b]) => b - a);
  for (const [outcome, count] of outcomes) process.stdout.write(`  ${count} ${outcome}\n`);
  process.stdout.write(`${target}: ${rate(campaign)}, ${campaign.findings.length} findings\n`);
}

process.exitCode = await main();
