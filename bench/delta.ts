/**
 * Deltas between two images against what others make of them: bytes, time to make, time to apply, and memory. On two
 * files of the caller's, or on a small node's tree in which containerd got its patch release and a file was edited.
 *
 * One run of each: they take minutes, and the bytes are the same every time.
 */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTools } from '../scripts/lib/apt.mjs';
import { type Pair, treePair } from './pairs.ts';
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
  /** Of the proof, which takes the blocks that the generator has packed: applying without packing. */
  readonly proofSeconds: number;
}

/** Our own delta of two files, from the report of the command that makes it; then it is applied by the code of a node. */
export async function ownDelta({ older, newer, scratch }: DeltaTask): Promise<OwnCost> {
  const path = join(scratch, OWN_DELTA);
  const args = [GENERATOR, 'delta', older, newer, path, '--json'];
  const { stdout, cpuSeconds, peakBytes } = await timed(process.execPath, args);
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

/** Our own figures, each with one rival's. */
export function deltaFigures(mine: DeltaCost, rival: string, other: DeltaCost): Figure[] {
  return MEASURES.flatMap(([name, unit, of]) => {
    const [value, rivalValue] = [of(mine), of(other)];
    // Nought: it was not measured.
    if (value === undefined || rivalValue === undefined || rivalValue === 0) return [];
    return figure({
      ...{ bench: 'delta', name, unit, better: 'lower', values: [value] },
      rival: { name: rival, values: [rivalValue] },
    });
  });
}

async function pairOf({ older, newer }: BenchOptions): Promise<Pair> {
  if (older === undefined && newer === undefined) return treePair();
  if (older !== undefined && newer !== undefined) return { older, newer };
  throw new Error('Cannot measure one file alone: give --old and --new');
}

/** Figures of one pair. @throws Error when only one of `older` and `newer` is given, or no delta can be made of them */
export async function delta(options: BenchOptions): Promise<Figure[]> {
  await ensureTools(DELTA_TOOLS);
  const pair = await pairOf(options);
  const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
  try {
    const task = { ...pair, scratch: join(scratch, 'own') };
    const mine = await runRival(ownDelta, task);
    const full = { bytes: (await stat(pair.newer)).size, seconds: 0, cpuSeconds: 0, peakBytes: 0 };
    const figures = [
      ...deltaFigures(mine, 'the whole file', full),
      figure({
        ...{ bench: 'delta', name: 'apply-without-packing', unit: 's', better: 'lower' },
        values: [mine.proofSeconds],
      }),
      figure({
        ...{ bench: 'delta', name: 'apply-working-memory', unit: 'bytes', better: 'lower' },
        values: [mine.applyWorkingBytes],
      }),
    ];
    for (const [name, rival] of Object.entries(DELTA_RIVALS)) {
      const other = await runRival(rival, { ...pair, scratch: join(scratch, 'rival') });
      if (other !== undefined) figures.push(...deltaFigures(mine, name, other));
    }
    return figures;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
