/**
 * dm-verity over one file: the digests of its blocks in one thread by the four lanes of WebAssembly, and the whole hash
 * tree with one and with two warm workers: as they choose their engine, and by the lanes whatever the processor. Reading is included, and comes from the cache of the kernel. All must find the same.
 */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { HashEngine } from '@keelos/as-core/hash-blocks-job.ts';
import { compileModule } from '@keelos/as-core/load.ts';
import { buildHashTree } from '@keelos/as-core/verity.ts';
import { BLOCK_BYTES, DIGEST_BYTES, VerityHasher } from '@keelos/as-core/verity-hasher.ts';
import { treeOver } from '@keelos/as-core/verity-tree.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { type Figure, figure } from './report.ts';
import { type Blocks, digestsOf, leavesOf, veritysetupRoot } from './rivals/hash-tree.ts';
import { hashWasm, nobleHashes, nodeCrypto, type StreamHasher } from './rivals/sha256.ts';
import { type BenchOptions, inTurn, megabytesPerSecond } from './rounds.ts';
import { type Sample, withSample } from './sample-file.ts';

const SALT = createHash('sha256').update('keelos bench').digest();

/** A thing that is hashed in one way, and the digest of what came out, in hex. */
type Way = () => Promise<string>;

/** Digests of all blocks, by the four lanes, straight into the memory of the module. */
function ownLeaves({ fd, dataBlocks }: Blocks, hasher: VerityHasher): Uint8Array {
  const leaves = new Uint8Array(dataBlocks * DIGEST_BYTES);
  for (let done = 0; done < dataBlocks; done += hasher.blocksMax) {
    const count = Math.min(hasher.blocksMax, dataBlocks - done);
    hasher.read({ fd, offsetBytes: done * BLOCK_BYTES, count });
    hasher.hashRead(leaves.subarray(done * DIGEST_BYTES));
  }
  return leaves;
}

/** The figures of `own`, one for each of the rivals. */
async function compared(
  { runs, bytes }: { readonly runs: number; readonly bytes: number },
  own: Readonly<Record<string, Way>>,
  rivals: Readonly<Record<string, Way>>,
): Promise<Figure[]> {
  const found = new Set<string>();
  const ways = Object.entries({ ...own, ...rivals }).map(([name, way]) => {
    const contender = async () => {
      found.add(await way());
      return undefined;
    };
    return [name, contender] as const;
  });
  const seconds = await inTurn(runs, Object.fromEntries(ways));
  if (found.size !== 1) throw new Error(`The results differ: ${[...found].join(', ')}`);
  const speeds = (name: string) => megabytesPerSecond(bytes, seconds[name] ?? []);
  return Object.keys(own).flatMap((name) =>
    Object.keys(rivals).map((rival) =>
      figure({
        ...{ bench: 'verity', name, unit: 'MB/s', better: 'higher', values: speeds(name) },
        rival: { name: rival, values: speeds(rival) },
      }),
    ),
  );
}

async function leafFigures(blocks: Blocks, runs: number): Promise<Figure[]> {
  const hasher = new VerityHasher(await compileModule('verity'), SALT);
  const wasm = await hashWasm();
  const hex = (leaves: Uint8Array) => createHash('sha256').update(leaves).digest('hex');
  const others = (streams: StreamHasher) => async () => hex(leavesOf(blocks, streams));
  return compared(
    { runs, bytes: blocks.dataBlocks * BLOCK_BYTES },
    { 'leaves-one-thread': async () => hex(ownLeaves(blocks, hasher)) },
    {
      'hash-wasm': others(wasm),
      'node:crypto': others(nodeCrypto()),
      '@noble/hashes': others(nobleHashes()),
    },
  );
}

async function treeFigures(blocks: Blocks, sample: Sample, runs: number): Promise<Figure[]> {
  const workers = [new CoreWorkers(1), new CoreWorkers(2)] as const;
  const own = (which: CoreWorkers, engine?: HashEngine) => async () =>
    (await buildHashTree({ ...blocks, workers: which, engine, withSha256: false })).rootHash;
  const others = (streams: StreamHasher) => async () => {
    const hash = (bytes: Uint8Array) => digestsOf(bytes, SALT, streams);
    return Buffer.from(treeOver(leavesOf(blocks, streams), hash).rootHash).toString('hex');
  };
  const tree = join(sample.scratch, 'tree');
  try {
    return await compared(
      { runs, bytes: blocks.dataBlocks * BLOCK_BYTES },
      {
        'tree-1-worker': own(workers[0]),
        'tree-2-workers': own(workers[1]),
        'tree-1-worker-lanes': own(workers[0], 'lanes'),
        'tree-2-workers-lanes': own(workers[1], 'lanes'),
      },
      {
        'veritysetup format': () => veritysetupRoot(sample.path, { ...blocks, tree }),
        'hash-wasm': others(await hashWasm()),
        'node:crypto': others(nodeCrypto()),
      },
    );
  } finally {
    await Promise.all(workers.map((each) => each.close()));
  }
}

/** SHA-256 of the data in the same pass as the tree, against two passes of which the first is node:crypto alone. */
async function bothFigures(blocks: Blocks, runs: number): Promise<Figure[]> {
  const workers = [new CoreWorkers(1), new CoreWorkers(2)] as const;
  const onePass = (which: CoreWorkers) => async () => {
    const { rootHash, sha256 } = await buildHashTree({ ...blocks, workers: which });
    return `${rootHash} ${sha256}`;
  };
  const twoPasses = async () => {
    const hash = nodeCrypto();
    hash.begin();
    const piece = Buffer.alloc(1024 * 1024);
    for (let done = 0; done < blocks.dataBlocks * BLOCK_BYTES; ) {
      const left = blocks.dataBlocks * BLOCK_BYTES - done;
      const read = readSync(blocks.fd, piece, 0, Math.min(piece.length, left), done);
      hash.update(piece.subarray(0, read));
      done += read;
    }
    const sha256 = Buffer.from(hash.end()).toString('hex');
    const { rootHash } = await buildHashTree({
      ...{ ...blocks, workers: workers[1], withSha256: false },
    });
    return `${rootHash} ${sha256}`;
  };
  try {
    return await compared(
      { runs, bytes: blocks.dataBlocks * BLOCK_BYTES },
      {
        'tree-and-sha256-1-worker': onePass(workers[0]),
        'tree-and-sha256-2-workers': onePass(workers[1]),
      },
      { 'node:crypto, then the tree by 2 workers': twoPasses },
    );
  } finally {
    await Promise.all(workers.map((each) => each.close()));
  }
}

/**
 * Figures in MB/s, over the whole blocks of the file.
 *
 * @throws Error when two of them find different hashes, or for a file of less than a block
 */
export async function verity({ runs, input }: BenchOptions): Promise<Figure[]> {
  return withSample(input, async (sample) => {
    const dataBlocks = Math.floor(sample.sizeBytes / BLOCK_BYTES);
    if (dataBlocks === 0) throw new Error(`Cannot measure ${sample.path}: not one block`);
    const file = await open(sample.path, 'r');
    try {
      const blocks = { fd: file.fd, dataBlocks, salt: SALT };
      return [
        ...(await leafFigures(blocks, runs)),
        ...(await treeFigures(blocks, sample, runs)),
        ...(await bothFigures(blocks, runs)),
      ];
    } finally {
      await file.close();
    }
  });
}
