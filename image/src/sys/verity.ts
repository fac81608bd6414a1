/** The dm-verity hash tree behind a root file system. */
import { createHash } from 'node:crypto';
import { compileModule } from '@keelos/as-core/load.ts';
import { VerityHasher } from '@keelos/as-core/verity-hasher.ts';
import { treeOver } from '@keelos/as-core/verity-tree.ts';
import { saltOfContents } from '@keelos/proto/verity-table.ts';
import type { VerityFacts } from '../core/command-line.ts';

/**
 * The file system with its hash tree behind it, and what the kernel must know of it.
 *
 * @param data file system, in whole blocks of 4 KiB
 * @throws RangeError for anything else
 */
export async function appendHashTree(
  data: Uint8Array,
): Promise<{ image: Buffer; verity: VerityFacts }> {
  const salt = saltOfContents(createHash('sha256').update(data).digest());
  const saltBytes = Buffer.from(salt, 'hex');
  const hasher = new VerityHasher(await compileModule('verity'), saltBytes);
  const { tree, rootHash } = treeOver(hasher.hash(data), (blocks) => hasher.hash(blocks));
  return {
    image: Buffer.concat([data, tree]),
    verity: {
      dataBytes: data.length,
      rootHash: Buffer.from(rootHash).toString('hex'),
      salt,
    },
  };
}
