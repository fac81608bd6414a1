/**
 * zstd over blocks of 128 KiB, one frame a block, in one thread: what our module decodes and encodes, against libzstd inside
 * Node, the command zstd, and two packages. Content is compared; frames are, where the version of libzstd is the same.
 */
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ZstdDecoder, ZstdEncoder } from '@keelos/as-core/zstd.ts';
import { ensureTools } from '../scripts/lib/apt.mjs';
import { type Figure, figure } from './report.ts';
import { type Codec, fzstd, nodeZlib, zstdCodec, zstdCommand } from './rivals/zstd.ts';
import { type BenchOptions, type Contender, inTurn, megabytesPerSecond } from './rounds.ts';

const BLOCK_BYTES = 128 * 1024;
const DECODED_BYTES_MAX = 32 * 1024 * 1024;
/** Level 15 makes a few megabytes a second. */
const ENCODED_BYTES_MAX = 8 * 1024 * 1024;
const FRAME_LEVEL = 15;
const ENCODE_LEVELS = [3, 9, 15] as const;
const TOOLS = [{ command: 'zstd', package: 'zstd', why: 'a rival' }];
const OWN = 'as-core';

async function blocksOf(input: string): Promise<Buffer[]> {
  const file = await open(input);
  try {
    const bytes = Buffer.alloc(DECODED_BYTES_MAX);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead === 0) throw new Error(`Cannot measure ${input}: it is empty`);
    const count = Math.ceil(bytesRead / BLOCK_BYTES);
    const whole = bytes.subarray(0, bytesRead);
    return Array.from({ length: count }, (_, n) =>
      whole.subarray(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES),
    );
  } finally {
    await file.close();
  }
}

async function ownCodec(): Promise<Codec> {
  const [decoder, encoder] = await Promise.all([ZstdDecoder.create(), ZstdEncoder.create()]);
  return {
    decode: (frame) => decoder.decode(frame, { contentBytesMax: BLOCK_BYTES }),
    encode: (bytes, level) => encoder.encode(bytes, level),
  };
}

const sum = (blocks: readonly Uint8Array[]) =>
  blocks.reduce((total, { length }) => total + length, 0);

function compared(
  name: string,
  bytes: number,
  seconds: Readonly<Record<string, readonly number[]>>,
): Figure[] {
  const { [OWN]: own = [], ...rivals } = seconds;
  return Object.entries(rivals).map(([rival, values]) =>
    figure({
      ...{ bench: 'zstd', name, unit: 'MB/s', better: 'higher' },
      values: megabytesPerSecond(bytes, own),
      rival: { name: rival, values: megabytesPerSecond(bytes, values) },
    }),
  );
}

/** A command that tells MB/s, as seconds for `bytes`. */
function native(bytes: number, measure: () => Promise<number>): Contender {
  return async () => bytes / 1e6 / (await measure());
}

async function decodeFigures(
  blocks: readonly Uint8Array[],
  { codecs, file, runs }: { codecs: Readonly<Record<string, Codec>>; file: string; runs: number },
): Promise<Figure[]> {
  const frames = blocks.map((block) => codecs[OWN]?.encode?.(block, FRAME_LEVEL) ?? block);
  const contenders = Object.entries(codecs).map(([name, { decode }]): [string, Contender] => {
    frames.forEach((frame, index) => {
      const isSame =
        blocks[index] !== undefined && Buffer.compare(decode(frame), blocks[index]) === 0;
      if (!isSame) throw new Error(`${name} reads block ${index} otherwise`);
    });
    return [name, async () => void frames.map((frame) => decode(frame).length)];
  });
  const bytes = sum(blocks);
  const options = { level: FRAME_LEVEL, blockBytes: BLOCK_BYTES };
  const command = native(bytes, async () => (await zstdCommand(file, options)).decode);
  const seconds = await inTurn(runs, {
    ...Object.fromEntries(contenders),
    'zstd command': command,
  });
  return compared('decode-128k', bytes, seconds);
}

async function encodeFigures(
  blocks: readonly Uint8Array[],
  { codecs, file, runs }: { codecs: Readonly<Record<string, Codec>>; file: string; runs: number },
  level: number,
): Promise<Figure[]> {
  const sizes: Record<string, number> = {};
  const contenders = Object.entries(codecs).flatMap(([name, { encode }]): [string, Contender][] => {
    if (encode === undefined) return [];
    const all = async () => {
      sizes[name] = sum(blocks.map((block) => encode(block, level)));
      return undefined;
    };
    return [[name, all]];
  });
  const bytes = sum(blocks);
  const options = { level, blockBytes: BLOCK_BYTES };
  const command = native(bytes, async () => (await zstdCommand(file, options)).encode);
  const seconds = await inTurn(runs, {
    ...Object.fromEntries(contenders),
    'zstd command': command,
  });
  if (sizes[OWN] !== sizes['node:zlib']) throw new Error(`Frames differ: ${JSON.stringify(sizes)}`);
  const own = sizes[OWN] ?? 0;
  return [
    ...compared(`encode-128k-level-${level}`, bytes, seconds),
    figure({
      ...{ bench: 'zstd', name: `size-128k-level-${level}`, unit: 'bytes', better: 'lower' },
      values: [own],
      rival: { name: 'zstd-codec', values: [sizes['zstd-codec'] ?? own] },
    }),
  ];
}

/** Figures in MB/s of content. Works on the start of `input`, or of the Node program. */
export async function zstd({ runs, input }: BenchOptions): Promise<Figure[]> {
  await ensureTools(TOOLS);
  const blocks = await blocksOf(input ?? process.execPath);
  const codecs = {
    [OWN]: await ownCodec(),
    'node:zlib': nodeZlib,
    'zstd-codec': await zstdCodec(),
    fzstd,
  };
  const few = blocks.slice(0, ENCODED_BYTES_MAX / BLOCK_BYTES);
  const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
  try {
    const [all, start] = [join(scratch, 'all'), join(scratch, 'start')];
    await writeFile(all, Buffer.concat(blocks));
    await writeFile(start, Buffer.concat(few));
    const figures = await decodeFigures(blocks, { codecs, file: all, runs });
    for (const level of ENCODE_LEVELS) {
      figures.push(...(await encodeFigures(few, { codecs, file: start, runs }, level)));
    }
    return figures;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
