import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ftruncateSync, writeSync } from 'node:fs';
import { buildHashTree, verifyBlock, verifyImage } from '@keelos/as-core/verity.ts';
import { DIGEST_BYTES } from '@keelos/as-core/verity-hasher.ts';
import { treeOver } from '@keelos/as-core/verity-tree.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { BLOCK_BYTES, noise, Scratch } from './verity-files.ts';

const GIB = 2 ** 30;
const SALT = noise(32, 1);

const digestOf = (block: Uint8Array) => createHash('sha256').update(SALT).update(block).digest();

/** With node:crypto. */
function hash(blocks: Uint8Array): Buffer {
  return Buffer.concat(
    Array.from({ length: blocks.length / BLOCK_BYTES }, (_, index) =>
      digestOf(blocks.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)),
    ),
  );
}

describe('verity past 2 and 4 GiB', () => {
  const workers = new CoreWorkers(2);
  let scratch: Scratch;

  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch.close());
  after(() => workers.close());

  for (const offsetBytes of [
    2 * GIB - BLOCK_BYTES,
    2 * GIB + 1,
    4 * GIB - BLOCK_BYTES,
    4 * GIB + 1,
  ]) {
    it(`reads data and tree at byte ${offsetBytes}`, async () => {
      const data = noise(130 * BLOCK_BYTES, 2);
      const { tree, rootHash } = treeOver(hash(data), hash);
      const fd = scratch.write('image');
      const hashOffset = offsetBytes + data.length;
      writeSync(fd, data, 0, data.length, offsetBytes);
      writeSync(fd, tree, 0, tree.length, hashOffset);
      const known = { fd, offsetBytes, dataBlocks: 130, salt: SALT, workers };
      const built = await buildHashTree(known);
      assert.equal(built.rootHash, Buffer.from(rootHash).toString('hex'));
      const image = { ...known, hashOffset, rootHash: built.rootHash };
      assert.equal((await verifyImage(image)).ok, true);
      assert.equal(await verifyBlock({ ...image, block: 129 }), true);
      writeSync(fd, Buffer.of(1, 2, 3), 0, 3, offsetBytes + 129 * BLOCK_BYTES);
      assert.deepEqual((await verifyImage(image)).bad, [{ level: 0, block: 129 }]);
      assert.equal(await verifyBlock({ ...image, block: 129 }), false);
    });
  }

  it('makes and checks the tree of 300 MB in at most 64 MiB a worker beyond what was there before', async () => {
    const dataBlocks = Math.ceil(300e6 / BLOCK_BYTES);
    const hashOffset = dataBlocks * BLOCK_BYTES;
    const fd = scratch.write('image');
    ftruncateSync(fd, hashOffset);
    const known = { fd, dataBlocks, salt: SALT, workers };
    // From here on the threads run, and have compiled what they need.
    await buildHashTree({ ...known, dataBlocks: 1000 });
    const idleBytes = process.memoryUsage.rss();
    let peakBytes = 0;
    const onProgress = () => {
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    };
    const { tree, rootHash } = await buildHashTree({ ...known, onProgress });
    writeSync(fd, tree, 0, tree.length, hashOffset);
    const { ok } = await verifyImage({ ...known, hashOffset, rootHash, onProgress });
    assert.equal(ok, true);
    onProgress();
    const perWorkerBytes = (peakBytes - idleBytes) / workers.count;
    assert.ok(perWorkerBytes <= 64 * 2 ** 20, `${perWorkerBytes} bytes`);
  }).timeout(60_000);

  it('covers an image of 4 GiB and one block', async () => {
    const dataBlocks = (4 * GIB) / BLOCK_BYTES + 1;
    const marked = [0, 1, 2 ** 19 - 1, 2 ** 19, 2 ** 19 + 1, 2 ** 20 - 1, 2 ** 20];
    const leaves = Buffer.alloc(dataBlocks * DIGEST_BYTES, digestOf(Buffer.alloc(BLOCK_BYTES)));
    const fd = scratch.write('image');
    ftruncateSync(fd, dataBlocks * BLOCK_BYTES);
    for (const block of marked) {
      const bytes = noise(BLOCK_BYTES, block);
      writeSync(fd, bytes, 0, bytes.length, block * BLOCK_BYTES);
      digestOf(bytes).copy(leaves, block * DIGEST_BYTES);
    }
    const expected = treeOver(leaves, hash);
    const known = { fd, dataBlocks, salt: SALT, workers, withSha256: false };
    const { tree, rootHash } = await buildHashTree(known);
    assert.equal(rootHash, Buffer.from(expected.rootHash).toString('hex'));
    assert.ok(tree.equals(expected.tree));
    const hashOffset = dataBlocks * BLOCK_BYTES;
    writeSync(fd, tree, 0, tree.length, hashOffset);
    for (const block of marked) {
      assert.equal(await verifyBlock({ ...known, hashOffset, rootHash, block }), true);
    }
  }).timeout(120_000);
});
