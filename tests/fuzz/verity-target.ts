/** Images with a dm-verity tree: the verdict is what a recomputation with node:crypto says. */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type VerityImage, type VerityReport, verifyImage } from '@keelos/as-core/verity.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { Random } from './random.ts';
import { Finding, refusal, type Target } from './target.ts';

const BLOCK_BYTES = 4096;
const DIGEST_BYTES = 32;
const DIGESTS_PER_BLOCK = BLOCK_BYTES / DIGEST_BYTES;
/** Shapes: no tree, one level, a full level, one past it. */
const DATA_BLOCKS = [1, 2, 3, 127, 128, 129] as const;
/** What the process may grow by: instances that were dropped are in it until V8 collects them. */
const MEMORY_BYTES_MAX = 512 * 1024 * 1024;

interface Tree {
  readonly tree: Buffer;
  readonly rootHash: string;
}

/** A right image and what is known of it. */
interface Sample extends Tree {
  readonly image: Uint8Array;
  readonly dataBlocks: number;
  readonly salt: Buffer;
}

/** @param verify what is under test */
export async function verityTarget(verify = verifyImage): Promise<Target> {
  const residentBytes = process.memoryUsage.rss();
  const folder = mkdtempSync(join(tmpdir(), 'keel-fuzz-'));
  const fd = openSync(join(folder, 'image'), 'w+');
  const workers = new CoreWorkers(1);
  const made = DATA_BLOCKS.map(makeSample);
  const [first, ...more] = made.map(({ image }) => image);
  if (first === undefined) throw new Error('no samples');
  return {
    name: 'verity',
    samples: [first, ...more],
    millisecondsMax: 2000,
    async run(input, index) {
      const sample = made[index];
      if (sample === undefined) throw new Error('no samples');
      ftruncateSync(fd, 0);
      writeSync(fd, input, 0, input.length, 0);
      const { dataBlocks, salt, rootHash } = sample;
      const hashOffset = dataBlocks * BLOCK_BYTES;
      return await judge(verify, {
        input,
        sample,
        image: { fd, dataBlocks, salt, rootHash, hashOffset, workers },
      });
    },
    memory: () => ({
      bytes: process.memoryUsage.rss() - residentBytes,
      bytesMax: MEMORY_BYTES_MAX,
    }),
    async close() {
      await workers.close();
      closeSync(fd);
      rmSync(folder, { recursive: true });
    },
  };
}

async function judge(
  verify: typeof verifyImage,
  { input, sample, image }: { input: Uint8Array; sample: Sample; image: VerityImage },
): Promise<string> {
  const dataBytes = sample.dataBlocks * BLOCK_BYTES;
  const isWhole = input.length >= dataBytes + sample.tree.length;
  let report: VerityReport;
  try {
    report = await verify(image);
  } catch (error) {
    const code = refusal(error);
    if (isWhole) throw new Finding(`${code}, but the image is long enough`);
    return code;
  }
  if (!isWhole) throw new Finding('an image that is too short was judged');
  const data = input.subarray(0, dataBytes);
  const stored = input.subarray(dataBytes, dataBytes + sample.tree.length);
  const right = treeOf(data, sample.salt);
  const isSound = right.rootHash === sample.rootHash && right.tree.equals(stored);
  if (report.ok !== isSound) throw new Finding(`ok is ${report.ok}, recomputed ${isSound}`);
  if (report.ok !== (report.badCount === 0)) throw new Finding('ok and the bad blocks differ');
  if (report.sha256 !== createHash('sha256').update(data).digest('hex')) {
    throw new Finding('the SHA-256 of the data is another');
  }
  compareBad(report, { data, sample, isTreeSound: sample.tree.equals(stored) });
  return report.ok ? 'accepted' : 'bad-blocks';
}

/** While the tree is sound, the bad blocks are exactly those that differ from the sample. */
function compareBad(
  report: VerityReport,
  { data, sample, isTreeSound }: { data: Uint8Array; sample: Sample; isTreeSound: boolean },
): void {
  if (!isTreeSound) return;
  const different: number[] = [];
  for (let block = 0; block < sample.dataBlocks; block++) {
    const [start, end] = [block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES];
    const isSame =
      Buffer.compare(data.subarray(start, end), sample.image.subarray(start, end)) === 0;
    if (!isSame) different.push(block);
  }
  if (report.badCount !== different.length) {
    throw new Finding(`${report.badCount} bad blocks, ${different.length} differ`);
  }
  const named = report.bad.map(({ level, block }) => `${level}/${block}`);
  const expected = different.slice(0, named.length).map((block) => `0/${block}`);
  if (named.join() !== expected.join()) throw new Finding(`bad: ${named}, but ${expected} differ`);
}

function makeSample(dataBlocks: number): Sample {
  const random = new Random(dataBlocks, 0);
  const data = Buffer.alloc(dataBlocks * BLOCK_BYTES);
  for (let at = 0; at < data.length; at += 64) data.writeUInt32LE(random.word(), at);
  const salt = Buffer.alloc([0, 1, 32, 256][dataBlocks % 4] ?? 0, dataBlocks);
  const made = treeOf(data, salt);
  return { image: Buffer.concat([data, made.tree]), dataBlocks, salt, ...made };
}

/** The tree by another way: a plain loop over node:crypto. */
function treeOf(data: Uint8Array, salt: Uint8Array): Tree {
  const levels: Buffer[] = [];
  let below = data;
  for (;;) {
    const count = below.length / BLOCK_BYTES;
    const digests = Array.from({ length: count }, (_, block) =>
      createHash('sha256')
        .update(salt)
        .update(below.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES))
        .digest(),
    );
    if (count === 1) {
      return {
        tree: Buffer.concat(levels.toReversed()),
        rootHash: digests[0]?.toString('hex') ?? '',
      };
    }
    const level = Buffer.alloc(Math.ceil(count / DIGESTS_PER_BLOCK) * BLOCK_BYTES);
    Buffer.concat(digests).copy(level);
    levels.push(level);
    below = level;
  }
}
