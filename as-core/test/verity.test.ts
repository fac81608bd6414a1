import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ftruncateSync, writeSync } from 'node:fs';
import { CoreError } from '@keelos/as-core/status.ts';
import {
  BAD_BLOCKS_NAMED_MAX,
  buildHashTree,
  verifyBlock,
  verifyImage,
} from '@keelos/as-core/verity.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import fc from 'fast-check';
import { BLOCK_BYTES, formatted, isAccepted, noise, Scratch } from './verity-files.ts';

const SALT_LENGTHS = [0, 1, 32, 256];
/** Ends of ranges, of levels, and one past them. */
const BLOCK_COUNTS = [1, 2, 3, 63, 64, 65, 127, 128, 129, 300, 128 * 128, 128 * 128 + 1];

describe('verity over files', () => {
  const two = new CoreWorkers(2);
  const one = new CoreWorkers(1);
  let scratch: Scratch;

  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch.close());
  after(() => Promise.all([one.close(), two.close()]));

  /** Data, its tree behind it, and what is known of both. */
  async function imageOf(blocks: number, salt: Uint8Array = noise(32, 99)) {
    const data = noise(blocks * BLOCK_BYTES, blocks);
    const fd = scratch.write('image', data);
    const known = { fd, dataBlocks: blocks, salt, workers: two };
    const { tree, rootHash, sha256 } = await buildHashTree(known);
    writeSync(fd, tree, 0, tree.length, data.length);
    return { ...known, hashOffset: data.length, rootHash, data, tree, sha256 };
  }

  for (const length of SALT_LENGTHS) {
    it(`makes the tree of veritysetup with a salt of ${length} bytes, and each accepts it`, async () => {
      const salt = noise(length, length);
      for (const blocks of BLOCK_COUNTS.slice(0, -2)) {
        const own = await imageOf(blocks, salt);
        const remade = await buildHashTree({
          ...own,
          engine: blocks % 2 === 0 ? 'lanes' : 'openssl',
        });
        assert.ok(own.tree.equals(remade.tree) && own.rootHash === remade.rootHash);
        scratch.write('data', own.data);
        const paths = { salt, tree: scratch.path('tree') };
        const other = await formatted(scratch.path('data'), paths);
        assert.equal(own.rootHash, other.rootHash, `${blocks} blocks`);
        assert.ok(own.tree.equals(other.tree), `${blocks} blocks`);
        assert.equal(await isAccepted(scratch.path('image'), own), true);
        assert.equal((await verifyImage(own)).ok, true);
      }
    }).timeout(60_000);
  }

  for (const blocks of BLOCK_COUNTS.slice(-2)) {
    it(`makes the tree of veritysetup over ${blocks} blocks, and each accepts it`, async () => {
      const own = await imageOf(blocks);
      scratch.write('data', own.data);
      const paths = { salt: own.salt, tree: scratch.path('tree') };
      const other = await formatted(scratch.path('data'), paths);
      assert.equal(own.rootHash, other.rootHash);
      assert.ok(own.tree.equals(other.tree));
      assert.equal(await isAccepted(scratch.path('image'), own), true);
      assert.deepEqual(await verifyImage(own), {
        ...{ ok: true, bad: [], badCount: 0 },
        sha256: createHash('sha256').update(own.data).digest('hex'),
      });
    }).timeout(60_000);
  }

  it('agrees with veritysetup about random images with random damage', async () => {
    const salts = fc.uint8Array({ maxLength: 256 });
    const damage = fc.option(fc.nat(), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 200 }), salts, damage, async (count, salt, at) => {
        const image = await imageOf(count, salt);
        const whole = Buffer.concat([image.data, image.tree]);
        if (at !== undefined) {
          const byte = at % whole.length;
          writeSync(image.fd, Buffer.of((whole[byte] ?? 0) ^ 0x10), 0, 1, byte);
        }
        assert.equal(await isAccepted(scratch.path('image'), image), at === undefined);
        assert.equal((await verifyImage(image)).ok, at === undefined);
      }),
      { numRuns: 25 },
    );
  }).timeout(60_000);

  it('finds any flipped bit, names its block and no other, and refuses the blocks under it', async () => {
    const image = await imageOf(140);
    const whole = Buffer.concat([image.data, image.tree]);
    for (let index = 0; index < whole.length / BLOCK_BYTES; index++) {
      const byte = index * BLOCK_BYTES + ((index * 1171) % BLOCK_BYTES);
      writeSync(image.fd, Buffer.of((whole[byte] ?? 0) ^ (1 << (index & 7))), 0, 1, byte);
      // Behind the data level 2 with its one block, then the two blocks of level 1.
      const level = index < 140 ? 0 : index === 140 ? 2 : 1;
      const block = level === 0 ? index : level === 1 ? index - 141 : 0;
      const { ok, bad, badCount } = await verifyImage({ ...image, withSha256: false });
      assert.deepEqual([ok, bad, badCount], [false, [{ level, block }], 1], `block ${index}`);
      for (const each of [0, 1, 127, 128, 139, Math.min(index, 139)]) {
        const path = [each, Math.floor(each / 128), 0];
        const isGood = path[level] !== block;
        assert.equal(await verifyBlock({ ...image, block: each }), isGood, `${index}, ${each}`);
      }
      writeSync(image.fd, whole, byte, 1, byte);
    }
    assert.equal((await verifyImage(image)).ok, true);
  }).timeout(60_000);

  it('names at most 64 bad blocks, and counts them all', async () => {
    const image = await imageOf(300);
    writeSync(image.fd, Buffer.alloc(200 * BLOCK_BYTES), 0, 200 * BLOCK_BYTES, 0);
    const { ok, bad, badCount } = await verifyImage(image);
    assert.deepEqual([ok, bad.length, badCount], [false, BAD_BLOCKS_NAMED_MAX, 200]);
    assert.deepEqual(bad.at(-1), { level: 0, block: BAD_BLOCKS_NAMED_MAX - 1 });
  });

  it('accepts no other root hash and no other salt', async () => {
    const image = await imageOf(3);
    const rootHash = image.rootHash.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    assert.deepEqual((await verifyImage({ ...image, rootHash })).bad, [{ level: 1, block: 0 }]);
    assert.equal(await verifyBlock({ ...image, rootHash, block: 0 }), false);
    assert.equal((await verifyImage({ ...image, salt: noise(32, 1) })).ok, false);
    assert.equal(await verifyBlock({ ...image, salt: noise(32, 1), block: 0 }), false);
  });

  it('gives the same from one worker, two, and one of its own, and from either engine', async () => {
    const image = await imageOf(1000);
    const ways = [one, two, undefined].flatMap((workers) =>
      (['lanes', 'openssl', undefined] as const).map((engine) => ({ ...image, workers, engine })),
    );
    const answers = ways.map(verifyImage);
    const trees = ways.map(buildHashTree);
    for (const answer of await Promise.all(answers)) {
      assert.deepEqual([answer.ok, answer.sha256], [true, image.sha256]);
    }
    for (const each of await Promise.all(trees)) {
      assert.deepEqual([each.rootHash, each.sha256], [image.rootHash, image.sha256]);
      assert.ok(each.tree.equals(image.tree));
    }
  });

  it('takes data and tree from the middle of a file', async () => {
    const image = await imageOf(130);
    const before = noise(12_345, 5);
    const fd = scratch.write('disk', before, image.data, noise(100, 6), image.tree);
    const hashOffset = before.length + image.data.length + 100;
    const moved = { ...image, fd, offsetBytes: before.length, hashOffset };
    assert.deepEqual(await verifyImage(moved), await verifyImage(image));
    assert.equal(await verifyBlock({ ...moved, block: 129 }), true);
    assert.equal((await buildHashTree(moved)).rootHash, image.rootHash);
  });

  it('finds the same damage with either engine', async () => {
    const image = await imageOf(300);
    for (const byte of [0, 7 * BLOCK_BYTES + 1, 299 * BLOCK_BYTES + 4095]) {
      writeSync(image.fd, Buffer.of((image.data[byte] ?? 0) ^ 1), 0, 1, byte);
    }
    const bad = [0, 7, 299].map((block) => ({ level: 0, block }));
    for (const engine of ['lanes', 'openssl'] as const) {
      assert.deepEqual((await verifyImage({ ...image, engine })).bad, bad);
    }
  });

  it('gives the SHA-256 only where it is wanted', async () => {
    const image = await imageOf(130);
    assert.equal(image.sha256, createHash('sha256').update(image.data).digest('hex'));
    assert.equal((await verifyImage({ ...image, withSha256: false })).sha256, '');
  });

  it('reports every byte of the data once', async () => {
    const image = await imageOf(3000);
    const seen: number[] = [];
    await verifyImage({ ...image, onProgress: (doneBytes) => seen.push(doneBytes) });
    assert.equal(seen.at(-1), 3000 * BLOCK_BYTES);
    assert.ok(seen.length >= 3, `${seen.length} reports`);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
  });

  it('refuses a file that ends too soon, at each place', async () => {
    const image = await imageOf(130);
    const wholeBytes = image.data.length + image.tree.length;
    const sizes = [wholeBytes - 1, image.data.length + 1, image.data.length, 5000, 4095, 0];
    for (const [index, size] of sizes.entries()) {
      ftruncateSync(image.fd, size);
      const engine = index % 2 === 0 ? 'lanes' : 'openssl';
      const refusal = await verifyImage({ ...image, engine }).catch((error) => error);
      assert.ok(refusal instanceof CoreError, `${size}: ${refusal}`);
      assert.equal(refusal.code, 'verity-image-too-short');
      await assert.rejects(verifyBlock({ ...image, block: 129 }), CoreError);
    }
    for (const engine of ['lanes', 'openssl'] as const) {
      const refusal = buildHashTree({ ...image, engine });
      await assert.rejects(refusal, { code: 'verity-image-too-short' });
    }
  });

  it('refuses what makes no sense', async () => {
    const image = await imageOf(2);
    await assert.rejects(verifyImage({ ...image, rootHash: 'abc' }), RangeError);
    await assert.rejects(verifyBlock({ ...image, rootHash: '', block: 0 }), RangeError);
    await assert.rejects(verifyImage({ ...image, salt: new Uint8Array(257) }), RangeError);
    for (const dataBlocks of [0, -1, 0.5, 2 ** 24 + 1]) {
      await assert.rejects(verifyImage({ ...image, dataBlocks }), RangeError);
      await assert.rejects(buildHashTree({ ...image, dataBlocks }), RangeError);
    }
    for (const block of [-1, 0.5, 2]) {
      await assert.rejects(verifyBlock({ ...image, block }), RangeError);
    }
  });

  it('can be stopped', async () => {
    const fd = scratch.write('sparse');
    ftruncateSync(fd, 2 ** 19 * BLOCK_BYTES);
    const giveUp = new AbortController();
    const running = buildHashTree({
      ...{ fd, dataBlocks: 2 ** 19, salt: new Uint8Array(), workers: two, signal: giveUp.signal },
      onProgress: () => giveUp.abort(new Error('enough')),
    });
    await assert.rejects(running, /enough/);
    assert.equal((await verifyImage(await imageOf(5))).ok, true);
  });
});
