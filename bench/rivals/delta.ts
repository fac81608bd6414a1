/** What others make of two images: bytes to send, and what it costs to find them. */
import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasFooter, readPart, readTail } from '@keelos/image/sys/bundle-file.ts';
import { exec } from '../../scripts/lib/exec.mjs';

/** Two files, and an empty folder for results. */
export interface DeltaTask {
  readonly older: string;
  readonly newer: string;
  readonly scratch: string;
}

/** What one of them made. */
export interface DeltaCost {
  /** To be sent. */
  readonly bytes: number;
  readonly seconds: number;
  /** Of all processors together. */
  readonly cpuSeconds: number;
  /** Most memory that a process of it had. */
  readonly peakBytes: number;
  /** For making the newer file out of the older one; where it was measured. */
  readonly applySeconds?: number;
  /** Most memory that a process had that did it. */
  readonly applyPeakBytes?: number;
}

/** A delta maker. Undefined: it does not work on this pair. */
export type DeltaRival = (task: DeltaTask) => Promise<DeltaCost | undefined>;

/** Commands and the packages that they are in. */
export const DELTA_TOOLS = [
  { command: 'bsdiff', package: 'bsdiff', why: 'a rival' },
  { command: 'xdelta3', package: 'xdelta3', why: 'a rival' },
  { command: 'zstd', package: 'zstd', why: 'a rival' },
  { command: 'casync', package: 'casync', why: 'a rival' },
  { command: 'unsquashfs', package: 'squashfs-tools', why: 'bsdiff for each file' },
  { file: '/usr/bin/time', package: 'time', why: 'memory and processor time of rivals' },
];

const TIMEOUT_MS = 3_600_000;
const RAUC_BLOCK_BYTES = 4096;
const RAUC_HASH_BYTES = 32;

const XDELTA_PROBE = fileURLToPath(new URL('./xdelta3-wasm-probe.mjs', import.meta.url));

type Measured = Omit<DeltaCost, 'bytes' | 'applySeconds' | 'applyPeakBytes'>;

/** Runs a command, and says what it took. */
export async function timed(
  command: string,
  args: readonly string[],
): Promise<Measured & { readonly stdout: string }> {
  const start = performance.now();
  const { stdout, stderr } = await exec('/usr/bin/time', ['-f', '%U %S %M', command, ...args], {
    timeoutMs: TIMEOUT_MS,
  });
  const seconds = (performance.now() - start) / 1000;
  const [user = 0, system = 0, kibibytes = 0] = (stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  return { stdout, seconds, cpuSeconds: user + system, peakBytes: kibibytes * 1024 };
}

async function made(
  task: DeltaTask,
  of: {
    readonly make: readonly [string, ...string[]];
    readonly apply: readonly [string, ...string[]];
    readonly file: string;
  },
): Promise<DeltaCost> {
  const [make, ...makeArgs] = of.make;
  const [apply, ...applyArgs] = of.apply;
  const { stdout: _, ...measured } = await timed(make, makeArgs);
  const { seconds: applySeconds, peakBytes: applyPeakBytes } = await timed(apply, applyArgs);
  const { size: bytes } = await stat(join(task.scratch, of.file));
  return { ...measured, bytes, applySeconds, applyPeakBytes };
}

/** It is told where it fails: its memory is fixed (docs/decisions/0009). */
async function xdeltaInWasm(task: DeltaTask): Promise<DeltaCost | undefined> {
  const patch = join(task.scratch, 'xdelta-wasm');
  try {
    const args = [XDELTA_PROBE, task.older, task.newer, patch];
    const { stdout: _, ...measured } = await timed(process.execPath, args);
    return { ...measured, bytes: (await stat(patch)).size };
  } catch (cause) {
    const reason = /\| (?:\w*Error): (.+)/.exec(String(cause))?.[1] ?? String(cause);
    process.stderr.write(`xdelta3-wasm makes no delta of this pair: ${reason}\n`);
    return undefined;
  }
}

function bsdiff(task: DeltaTask): Promise<DeltaCost> {
  const [patch, out] = [join(task.scratch, 'bsdiff'), join(task.scratch, 'bsdiff.out')];
  return made(task, {
    make: ['bsdiff', task.older, task.newer, patch],
    apply: ['bspatch', task.older, out, patch],
    file: 'bsdiff',
  });
}

async function xdelta(task: DeltaTask): Promise<DeltaCost> {
  const [patch, out] = [join(task.scratch, 'xdelta'), join(task.scratch, 'xdelta.out')];
  // Else it looks no further back than 64 MiB.
  const window = ['-B', String(2 ** Math.ceil(Math.log2((await stat(task.older)).size)))];
  return made(task, {
    make: ['xdelta3', '-9', '-f', ...window, '-e', '-s', task.older, task.newer, patch],
    apply: ['xdelta3', '-f', ...window, '-d', '-s', task.older, patch, out],
    file: 'xdelta',
  });
}

function zstd(task: DeltaTask): Promise<DeltaCost> {
  const [patch, out] = [join(task.scratch, 'zstd'), join(task.scratch, 'zstd.out')];
  const common = ['-q', '-f', '--long=31', `--patch-from=${task.older}`];
  return made(task, {
    make: ['zstd', ...common, '-19', task.newer, '-o', patch],
    apply: ['zstd', ...common, '-d', patch, '-o', out],
    file: 'zstd',
  });
}

/** Chunks that are not in the older file's store, and the index. */
async function casync(task: DeltaTask): Promise<DeltaCost> {
  const store = join(task.scratch, 'casync.castr');
  const index = (name: string) => join(task.scratch, `${name}.caibx`);
  const make = (name: string, file: string) =>
    timed('casync', ['make', `--store=${store}`, index(name), file]);
  await make('older', task.older);
  const before = await folderBytes(store);
  const { stdout: _, ...measured } = await make('newer', task.newer);
  const bytes = (await folderBytes(store)) - before + (await stat(index('newer'))).size;
  return { ...measured, bytes };
}

/** Blocks of 4 KiB that the older file has nowhere, and an index of hashes. */
async function blockIndex(task: DeltaTask): Promise<DeltaCost> {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const digestsOf = async (file: string) => {
    const bytes = await readFile(file);
    const count = Math.ceil(bytes.length / RAUC_BLOCK_BYTES);
    return Array.from({ length: count }, (_, index) =>
      createHash('sha256')
        .update(bytes.subarray(index * RAUC_BLOCK_BYTES, (index + 1) * RAUC_BLOCK_BYTES))
        .digest()
        .toString('latin1'),
    );
  };
  const known = new Set(await digestsOf(task.older));
  const digests = await digestsOf(task.newer);
  const missing = new Set(digests.filter((digest) => !known.has(digest)));
  const { user, system } = process.cpuUsage(cpu);
  return {
    bytes: missing.size * RAUC_BLOCK_BYTES + digests.length * RAUC_HASH_BYTES,
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakBytes: 0,
  };
}

/** The files of a SquashFS in a folder, and of a bundle its kernel image. */
async function unpackInto(folder: string, path: string): Promise<void> {
  const args = ['-quiet', '-no-progress', '-no-xattrs', '-dest', folder, path];
  await exec('unsquashfs', args, { timeoutMs: TIMEOUT_MS });
  const file = await open(path, 'r');
  try {
    if (!(await hasFooter(file))) return;
    const { manifest } = await readTail(file);
    await writeFile(join(folder, 'kernel-image'), await readPart(file, manifest.uki));
  } finally {
    await file.close();
  }
}

/** bsdiff for each file that differs from the one with its path; a new file counts as it is packed by bsdiff. */
async function bsdiffPerFile(task: DeltaTask): Promise<DeltaCost> {
  const [older, newer] = [join(task.scratch, 'older'), join(task.scratch, 'newer')];
  await unpackInto(older, task.older);
  await unpackInto(newer, task.newer);
  const sum = {
    bytes: 0,
    seconds: 0,
    cpuSeconds: 0,
    peakBytes: 0,
    applySeconds: 0,
    applyPeakBytes: 0,
  };
  for (const path of await readdir(newer, { recursive: true })) {
    const [from, to] = [join(older, path), join(newer, path)];
    if (!(await lstat(to)).isFile()) continue;
    const was = await lstat(from).then(
      (facts) => (facts.isFile() ? readFile(from) : Buffer.alloc(0)),
      () => Buffer.alloc(0),
    );
    if (was.equals(await readFile(to))) continue;
    const source = was.length === 0 ? '/dev/null' : from;
    const cost = await bsdiff({ older: source, newer: to, scratch: task.scratch });
    sum.applyPeakBytes = Math.max(sum.applyPeakBytes, cost.applyPeakBytes ?? 0);
    sum.bytes += cost.bytes;
    sum.seconds += cost.seconds;
    sum.cpuSeconds += cost.cpuSeconds;
    sum.applySeconds += cost.applySeconds ?? 0;
    sum.peakBytes = Math.max(sum.peakBytes, cost.peakBytes);
  }
  return sum;
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const path of await readdir(folder, { recursive: true })) {
    const facts = await stat(join(folder, path));
    if (facts.isFile()) bytes += facts.size;
  }
  return bytes;
}

/** All of them, by name. */
export const DELTA_RIVALS: Readonly<Record<string, DeltaRival>> = {
  'xdelta3 -9': xdelta,
  'xdelta3-wasm': xdeltaInWasm,
  'zstd -19 --patch-from --long': zstd,
  casync,
  'blocks of 4 KiB by hash, as RAUC has them': blockIndex,
  'bsdiff of each file, unpacked': bsdiffPerFile,
  bsdiff,
};

/** Runs one of them in a folder of its own. */
export async function runRival<T>(
  rival: (task: DeltaTask) => Promise<T>,
  task: DeltaTask,
): Promise<T> {
  await mkdir(task.scratch);
  try {
    return await rival(task);
  } finally {
    await rm(task.scratch, { recursive: true, force: true });
  }
}
