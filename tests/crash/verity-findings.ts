/** What a verification of a root finds, in plain TypeScript with OpenSSL's hash: twin of the one in WebAssembly. */
import { createHash } from 'node:crypto';
import { judgeTree, treeShape } from '@keelos/as-core/verity-tree.ts';
import type { ImagePlace } from '@keelos/proto/verifier.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import type { ImageFindings } from '@keelos/ts-agent/core/slot-contents.ts';

function digestsOf(blocks: Uint8Array, salt: Buffer): Uint8Array {
  const digests: Buffer[] = [];
  for (let at = 0; at < blocks.length; at += VERITY_BLOCK_BYTES) {
    const block = blocks.subarray(at, at + VERITY_BLOCK_BYTES);
    digests.push(createHash('sha256').update(salt).update(block).digest());
  }
  return Buffer.concat(digests);
}

/** Reads data and tree and compares them with the root hash. */
export function findingsOf(
  read: (offsetBytes: number, lengthBytes: number) => Uint8Array,
  place: Omit<ImagePlace, 'device'>,
): ImageFindings {
  const salt = Buffer.from(place.salt, 'hex');
  const data = read(0, place.dataBlocks * VERITY_BLOCK_BYTES);
  const treeAt = place.hashStartBlock * VERITY_BLOCK_BYTES;
  const tree = read(treeAt, treeShape(place.dataBlocks).sizeBytes);
  const judged = judgeTree(
    { leaves: digestsOf(data, salt), tree, rootHash: Buffer.from(place.rootHash, 'hex') },
    (blocks) => digestsOf(blocks, salt),
  );
  const bad = [...judged].map((one) => ({ ...one, files: [] }));
  return {
    isIntact: bad.length === 0,
    badCount: bad.length,
    bad,
    sha256: createHash('sha256').update(data).digest('hex'),
    fileSystem: {
      isValid: true,
      code: '',
      problem: '',
      files: 1,
      directories: 1,
      bytes: data.length,
    },
  };
}
