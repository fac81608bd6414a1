/**
 * SHA-256 of one stream in one thread: the whole file in pieces of 1 MiB, reading included, which comes from the cache of
 * the kernel. One stream cannot use four lanes: what those gain is what the subject "verity" shows.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { createSha256 } from '@keelos/as-core/sha256.ts';
import { type Figure, figure } from './report.ts';
import { hashWasm, nobleHashes, nodeCrypto, type StreamHasher } from './rivals/sha256.ts';
import { type BenchOptions, inTurn, megabytesPerSecond } from './rounds.ts';
import { withSample } from './sample-file.ts';

const PIECE_BYTES = 1024 * 1024;
const OWN = 'as-core';

async function ownHasher(): Promise<StreamHasher> {
  const sha256 = await createSha256();
  return {
    begin: () => sha256.reset(),
    update: (bytes) => sha256.update(bytes),
    end: () => sha256.digest(),
  };
}

function digestOfFile(path: string, hasher: StreamHasher): string {
  const fd = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    hasher.begin();
    for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) {
      hasher.update(piece.subarray(0, read));
    }
    return Buffer.from(hasher.end()).toString('hex');
  } finally {
    closeSync(fd);
  }
}

/** One figure a rival, in MB/s. @throws Error when two of them find different digests */
export async function sha256({ runs, input }: BenchOptions): Promise<Figure[]> {
  const hashers = {
    [OWN]: await ownHasher(),
    'node:crypto': nodeCrypto(),
    'hash-wasm': await hashWasm(),
    '@noble/hashes': nobleHashes(),
  };
  return withSample(input, async ({ path, sizeBytes }) => {
    const digests = new Set<string>();
    const contenders = Object.entries(hashers).map(([name, hasher]) => {
      const hash = async () => {
        digests.add(digestOfFile(path, hasher));
        return undefined;
      };
      return [name, hash] as const;
    });
    const { [OWN]: own = [], ...rivals } = await inTurn(runs, Object.fromEntries(contenders));
    if (digests.size !== 1) throw new Error(`Digests differ: ${[...digests].join(', ')}`);
    return Object.entries(rivals).map(([name, seconds]) =>
      figure({
        ...{ bench: 'sha256', name: 'one-stream', unit: 'MB/s', better: 'higher' },
        values: megabytesPerSecond(sizeBytes, own),
        rival: { name, values: megabytesPerSecond(sizeBytes, seconds) },
      }),
    );
  });
}
