/**
 * Deltas between two images against what others make of them: bytes, time to make, time to apply, and memory. On two
 * files of the caller's, or on pairs of pairs.ts.
 *
 * One run of each: they take minutes, and the bytes are the same every time.
 */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTools } from '../scripts/lib/apt.mjs';
import { PAIRS, type Pair } from './pairs.ts';
import { type Figure, figure } from './report.ts';
import {
  DELTA_RIVALS,
  DELTA_TOOLS,
  type DeltaCost,
  type DeltaTask,
  runRival,
  timed,
} from './rivals/delta.ts';
import type { BenchOptions } from './rounds.ts';

const GENERATOR = fileURLToPath(new URL('../image/src/main.ts', import.meta.url));
const APPLIER = fileURLToPath(new URL('../tests/src/apply-delta.ts', import.meta.url));
/** Of its superblock: bytes_used. */
const SQUASHFS_USED_AT = 40;

/** What `keel-image delta --json` says. */
interface Report {
  readonly deltaBytes: number;
  readonly generateMs: number;
  readonly applyMs: number;
}

/** Name of the delta in the folder of its task. */
export const OWN_DELTA = 'own.kdelta';

/** What our own costs beside. */
export interface OwnCost extends DeltaCost {
  readonly applySeconds: number;
  readonly applyPeakBytes: number;
  /** Memory above a process that has its modules compiled. */
  readonly applyWorkingBytes: number;
  /** From the start of the process to the end of the proof. */
  readonly provenSeconds: number;
  /** Of the proof, which takes the blocks that the generator has packed: applying without packing. */
  readonly proofSeconds: number;
}

/** Our own delta of two files, from the report of the command that makes it; then it is applied by the code of a node. */
export async function ownDelta({ older, newer, scratch }: DeltaTask): Promise<OwnCost> {
  const path = join(scratch, OWN_DELTA);
  const args = [GENERATOR, 'delta', older, newer, path, '--json'];
  const { stdout, seconds, cpuSeconds, peakBytes } = await timed(process.execPath, args);
  const report: Report = JSON.parse(stdout);
  const out = join(scratch, 'own.out');
  const applied = await timed(process.execPath, [APPLIER, older, path, out]);
  await demandBegin(out, newer);
  const { peakBytes: idleBytes } = await timed(process.execPath, [APPLIER]);
  return {
    bytes: report.deltaBytes,
    seconds: report.generateMs / 1000,
    cpuSeconds,
    peakBytes,
    applySeconds: applied.seconds,
    applyPeakBytes: applied.peakBytes,
    applyWorkingBytes: Math.max(0, applied.peakBytes - idleBytes),
    proofSeconds: report.applyMs / 1000,
    provenSeconds: seconds,
  };
}

/** What was made is the data of the newer file. @throws Error when it is not */
async function demandBegin(made: string, newer: string): Promise<void> {
  const [ours, theirs] = await Promise.all([readFile(made), readFile(newer)]);
  const bytes = squashfsBytes(theirs);
  if (ours.length >= bytes && ours.subarray(0, bytes).equals(theirs.subarray(0, bytes))) return;
  throw new Error(`${made} is not what ${newer} begins with`);
}

/** Bytes of a SquashFS, by its superblock. */
function squashfsBytes(file: Buffer): number {
  return Number(file.readBigUInt64LE(SQUASHFS_USED_AT));
}

/** Measures, and the unit of each; `full` is the newer file as it is. */
const MEASURES = [
  ['bytes', 'bytes', ({ bytes }: DeltaCost) => bytes],
  ['generate', 's', ({ seconds }: DeltaCost) => seconds],
  // Our own has the proof in it: the delta is applied once before it is published.
  ['generate-processor-time', 's', ({ cpuSeconds }: DeltaCost) => cpuSeconds],
  ['generate-memory', 'bytes', ({ peakBytes }: DeltaCost) => peakBytes],
  ['apply', 's', ({ applySeconds }: DeltaCost) => applySeconds],
  ['apply-memory', 'bytes', ({ applyPeakBytes }: DeltaCost) => applyPeakBytes],
] as const;

/** Whose figures they are, and what their names begin with. */
export interface Labels {
  readonly bench: string;
  readonly prefix: string;
}

/** Our own figures, each with one rival's. */
export function deltaFigures(
  { bench, prefix }: Labels,
  of: { readonly mine: DeltaCost; readonly rival: string; readonly other: DeltaCost },
): Figure[] {
  return MEASURES.flatMap(([name, unit, measured]) => {
    const [value, rivalValue] = [measured(of.mine), measured(of.other)];
    // Nought: it was not measured.
    if (value === undefined || rivalValue === undefined || rivalValue === 0) return [];
    return figure({
      ...{ bench, name: `${prefix}${name}`, unit, better: 'lower', values: [value] },
      rival: { name: of.rival, values: [rivalValue] },
    });
  });
}

/** Our own delta of a pair, and figures of it and of each rival. It lies in `scratch`, an empty folder. */
export async function compareDeltas(
  labels: Labels,
  { pair, scratch }: { readonly pair: Pair; readonly scratch: string },
): Promise<Figure[]> {
  await ensureTools(DELTA_TOOLS);
  const mine = await ownDelta({ ...pair, scratch });
  const full = { bytes: (await stat(pair.newer)).size, seconds: 0, cpuSeconds: 0, peakBytes: 0 };
  const alone = (name: string, unit: string, value: number) =>
    figure({
      ...{ bench: labels.bench, name: `${labels.prefix}${name}`, unit, better: 'lower' },
      values: [value],
    });
  const figures = [
    ...deltaFigures(labels, { mine, rival: 'the whole file', other: full }),
    alone('generate-and-prove', 's', mine.provenSeconds),
    alone('apply-without-packing', 's', mine.proofSeconds),
    alone('apply-working-memory', 'bytes', mine.applyWorkingBytes),
  ];
  for (const [rival, run] of Object.entries(DELTA_RIVALS)) {
    const other = await runRival(run, { ...pair, scratch: join(scratch, 'rival') });
    if (other !== undefined) figures.push(...deltaFigures(labels, { mine, rival, other }));
  }
  return figures;
}

/** Prefix of the names of figures to the pair. */
async function pairsOf(options: BenchOptions): Promise<ReadonlyMap<string, Pair>> {
  const { older, newer, pairs = [] } = options;
  if (older !== undefined && newer !== undefined) return new Map([['', { older, newer }]]);
  if (older !== undefined || newer !== undefined) {
    throw new Error('Cannot measure one file alone: give --old and --new');
  }
  const found = new Map<string, Pair>();
  for (const name of pairs.length === 0 ? Object.keys(PAIRS) : pairs) {
    const make = PAIRS[name];
    if (make === undefined) {
      throw new Error(`No such pair: ${name}. There are ${Object.keys(PAIRS).join(', ')}`);
    }
    found.set(`${name}-`, await make());
  }
  return found;
}

/** Figures of each pair. @throws Error when only one of `older` and `newer` is given, or no delta can be made of them */
export async function delta(options: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [prefix, pair] of await pairsOf(options)) {
    const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
    try {
      figures.push(...(await compareDeltas({ bench: 'delta', prefix }, { pair, scratch })));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  return figures;
}
