/** `keel-image delta`: what makes a new release out of an old one. */
import { resolve } from 'node:path';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { Command, InvalidArgumentError } from 'commander';
import { collected } from '../core/collected.ts';
import type { DeltaProgress, DeltaReport, DeltaStep } from '../core/delta-report.ts';
import { makeDelta } from '../shell/delta.ts';

const EXAMPLES = `
OLD and NEW are two bundles, or two plain SquashFS files that are compressed with zstd (mksquashfs -comp zstd makes them
too: blocks that our encoder cannot make again are carried as they are). The delta is applied and every byte of it compared before OUT gets its name
(docs/reference/delta-format.md).

Examples:
  $ keel-image delta dist/keelos-0.1.0-x86_64.squashfs dist/keelos-0.2.0-x86_64.squashfs \\
      dist/keelos-0.1.0-0.2.0-x86_64.kdelta --key keys/release.key
  $ keel-image delta old.squashfs new.squashfs out.kdelta --max-memory 2G --json | jq .deltaBytes`;

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const MEMORY = /^(\d{1,15})([KMG]?)$/;

/** What each step does, for people. */
const STEPS: Readonly<Record<DeltaStep, string>> = {
  read: 'looking for what changed',
  match: 'matching',
  code: 'coding',
  prove: 'proving',
  write: 'writing',
};

function memoryBytes(text: string): number {
  const [, digits, unit = ''] = MEMORY.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes === 0) {
    throw new InvalidArgumentError('It is a number of bytes, or one with K, M or G behind it.');
  }
  return bytes;
}

interface Options {
  readonly key: readonly string[];
  readonly maxMemory?: number;
  readonly json?: boolean;
}

/** Says each step once, on stderr. */
function sayingSteps(): (progress: DeltaProgress) => void {
  let last: DeltaStep | undefined;
  return ({ step }) => {
    if (step === last) return;
    last = step;
    process.stderr.write(`${STEPS[step]}\n`);
  };
}

function lines(report: DeltaReport): string[] {
  const { deltaBytes, fullBytes, copiedBytes, packedBytes, literalBytes } = report;
  const times = (fullBytes / deltaBytes).toFixed(1);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return [
    `delta      ${report.path}`,
    `releases   ${report.from} to ${report.to}`,
    `size       ${formatBytes(deltaBytes)}, ${times} times smaller than the ${formatBytes(fullBytes)} of the whole`,
    `made of    ${formatBytes(copiedBytes)} copied, ${formatBytes(packedBytes)} packed again, ${formatBytes(literalBytes)} carried`,
    `time       made in ${seconds(report.generateMs)}, proven in ${seconds(report.applyMs)}`,
  ];
}

/** The command. */
export function deltaCommand(): Command {
  return new Command('delta')
    .description('Make the delta between two releases, and prove it by applying it.')
    .argument('<old>', 'bundle or SquashFS that a node has')
    .argument('<new>', 'bundle or SquashFS that it is to have')
    .argument('<out>', 'file for the delta')
    .option('--key <file>', 'private key that signs; may be given more than once', collected, [])
    .option(
      '--max-memory <bytes>',
      'most memory for both files and what is found in them, for example 2G; the program itself takes about 200M',
      memoryBytes,
    )
    .option('--json', 'one JSON object on stdout, and no progress')
    .addHelpText('after', EXAMPLES)
    .action(async (oldPath: string, newPath: string, out: string, options: Options) => {
      const report = await makeDelta({
        oldPath: resolve(oldPath),
        newPath: resolve(newPath),
        out: resolve(out),
        keys: options.key,
        ...(options.maxMemory === undefined ? {} : { maxMemoryBytes: options.maxMemory }),
        ...(options.json === true ? {} : { onProgress: sayingSteps() }),
      });
      const text =
        options.json === true ? JSON.stringify(report, null, 2) : lines(report).join('\n');
      process.stdout.write(`${text}\n`);
    });
}
