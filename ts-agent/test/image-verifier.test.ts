import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { type ImagePlace, verifyImageInThread } from '@keelos/ts-agent/sys/image-verifier.ts';

const LARGE_BYTES = 3 * 1_048_576;

describe('verification of an image on a thread', function () {
  this.timeout(60_000);

  let directory = '';
  let good: Buffer;
  let place: ImagePlace;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'keel-verify-'));
    const root = join(directory, 'root');
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(join(root, 'etc/one'), 'one\n');
    writeFileSync(join(root, 'etc/two'), 'two\n');
    // Bytes that do not compress: their blocks lie in the image as they are.
    const large = Buffer.alloc(LARGE_BYTES);
    for (let at = 0, state = 1; at < LARGE_BYTES; at += 4) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      large.writeUInt32LE(state, at);
    }
    writeFileSync(join(root, 'large'), large);
    const squashfs = join(directory, 'root.squashfs');
    execFileSync('mksquashfs', [root, squashfs, '-comp', 'zstd', '-noappend', '-quiet']);
    const { image, verity } = await appendHashTree(padded(readFileSync(squashfs)));
    good = image;
    const dataBlocks = verity.dataBytes / VERITY_BLOCK_BYTES;
    const { rootHash, salt } = verity;
    const device = join(directory, 'device');
    place = { device, dataBlocks, hashStartBlock: dataBlocks, rootHash, salt };
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const verify = (bytes: Buffer, onProgress = (_doneBytes: number) => {}) => {
    writeFileSync(place.device, bytes);
    const signal = AbortSignal.timeout(30_000);
    return verifyImageInThread(place, { signal, withFileSystem: true, onProgress });
  };

  it('finds an intact image intact, with its files counted', async () => {
    const told: number[] = [];
    const found = await verify(good, (doneBytes) => told.push(doneBytes));
    assert.deepEqual([found.isIntact, found.badCount, found.bad], [true, 0, []]);
    assert.deepEqual(found.fileSystem, {
      ...{ isValid: true, code: '', problem: '' },
      ...{ files: 3, directories: 2, bytes: LARGE_BYTES + 8 },
    });
    assert.deepEqual(
      told,
      told.toSorted((a, b) => a - b),
    );
  });

  it('places a flipped bit, and names the file or the table that it is in', async () => {
    const data = place.dataBlocks * VERITY_BLOCK_BYTES;
    const used = Number(good.readBigUInt64LE(40));
    for (const [at, level, name] of [
      [0, 0, '[superblock]'],
      [LARGE_BYTES / 2, 0, '/large'],
      [used - 1, 0, ''],
      [data, 2, '[hash tree]'],
      [good.length - 1, 1, '[hash tree]'],
    ] as const) {
      const bytes = Buffer.from(good);
      bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
      const found = await verify(bytes);
      assert.equal(found.badCount, 1, `byte ${at}`);
      const [bad] = found.bad;
      assert.equal(bad?.level, level);
      if (level === 0) assert.equal(bad?.block, Math.floor(at / VERITY_BLOCK_BYTES));
      assert.notDeepEqual(bad?.files, []);
      if (name !== '') assert.ok(bad?.files.includes(name), `byte ${at}: ${bad?.files}`);
    }
  });

  it('names a small file whose tail shares a block with others', async () => {
    const bytes = Buffer.from(good);
    const at = bytes.indexOf('one\n');
    assert.ok(at > 0, 'tails of this size are stored as they are');
    bytes.writeUInt8(0x20, at);
    const { bad } = await verify(bytes);
    const files = bad[0]?.files ?? [];
    assert.ok(files.includes('/etc/one') && files.includes('/etc/two'), files.join());
  });

  it('says what is wrong with a file system that was hashed as it is', async () => {
    const data = Buffer.from(good.subarray(0, place.dataBlocks * VERITY_BLOCK_BYTES));
    data.writeUInt16LE(60, 22);
    const { image, verity } = await appendHashTree(data);
    const kept = place;
    place = { ...place, rootHash: verity.rootHash, salt: verity.salt };
    const found = await verify(image);
    place = kept;
    assert.equal(found.isIntact, true);
    assert.equal(found.fileSystem.isValid, false);
    assert.match(found.fileSystem.code, /^squashfs-/);
    assert.notEqual(found.fileSystem.problem, '');
  });

  it('ends at once when it is cancelled, and again works after', async () => {
    const stop = new AbortController();
    const signal = stop.signal;
    writeFileSync(place.device, good);
    const work = verifyImageInThread(place, {
      signal,
      withFileSystem: true,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await assert.rejects(work, /enough/);
    await assert.rejects(
      verifyImageInThread(place, { signal, withFileSystem: true, onProgress: () => {} }),
      /enough/,
    );
    assert.equal((await verify(good)).isIntact, true);
  });

  it('passes on what the device answers', async () => {
    const none = { ...place, device: join(directory, 'none') };
    const options = { signal: AbortSignal.timeout(5_000), withFileSystem: false };
    await assert.rejects(
      verifyImageInThread(none, { ...options, onProgress: () => {} }),
      (error) => error instanceof Error && 'code' in error && error.code === 'ENOENT',
    );
  });
});

function padded(bytes: Buffer): Buffer {
  const blocks = Math.ceil(bytes.length / VERITY_BLOCK_BYTES);
  return Buffer.concat([bytes, Buffer.alloc(blocks * VERITY_BLOCK_BYTES - bytes.length)]);
}
