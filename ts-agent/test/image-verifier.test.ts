import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ImagePlace, VerifierProgram } from '@keelos/proto/verifier.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { imageVerifier } from '@keelos/ts-agent/sys/image-verifier.ts';

const program: VerifierProgram = {
  executable: process.execPath,
  argv0: 'keel-verifier',
  args: [fileURLToPath(new URL('run-verifier.ts', import.meta.url))],
};
const logged: string[] = [];
const log = (line: string) => logged.push(line);
const verifyInChild = imageVerifier({ program, log });

const LARGE_BYTES = 3 * 1_048_576;

describe('verification of an image in a process', function () {
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
    return verifyInChild(place, { signal, withFileSystem: true, onProgress });
  };

  it('finds an intact image intact, with its files counted', async () => {
    const told: number[] = [];
    const found = await verify(good, (doneBytes) => told.push(doneBytes));
    assert.deepEqual([found.isIntact, found.badCount, found.bad], [true, 0, []]);
    assert.deepEqual(found.fileSystem, {
      isValid: true,
      code: '',
      problem: '',
      files: 3,
      directories: 2,
      bytes: LARGE_BYTES + 8,
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
    const work = verifyInChild(place, {
      signal,
      withFileSystem: true,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await assert.rejects(work, /enough/);
    await assert.rejects(
      verifyInChild(place, { signal, withFileSystem: true, onProgress: () => {} }),
      /enough/,
    );
    assert.equal((await verify(good)).isIntact, true);
  });

  it('begins again, once and saying so, when a signal ends it; then it ends with an error', async () => {
    const starts = join(directory, 'starts');
    const shell = (script: string, timeoutMs = 30_000) => {
      rmSync(starts, { force: true });
      const args = ['-c', `echo >>${starts}; ${script}`];
      const options = { program: { executable: '/bin/sh', argv0: 'keel-verifier', args }, log };
      logged.length = 0;
      const signal = AbortSignal.timeout(30_000);
      return imageVerifier({ ...options, timeoutMs })(place, {
        signal,
        withFileSystem: true,
        onProgress: () => {},
      });
    };
    const said = `echo '{"kind":"progress","doneBytes":4096}'`;
    for (const [script, how, count, lines] of [
      [`${said}; kill -TRAP $$`, /SIGTRAP/, 2, 2],
      ['kill -SEGV $$', /SIGSEGV/, 2, 2],
      ['exit 4', /exit 4/, 1, 1],
      [said, /exit 0/, 1, 1],
    ] as const) {
      const error = await shell(script).catch((cause) => cause);
      assert.ok(error instanceof KeelError, String(error));
      assert.equal(error.code, 'E_VERIFY_ENDED');
      assert.match(error.message, how);
      assert.equal(readFileSync(starts).length, count, script);
      assert.equal(logged.length, lines, logged.join('\n'));
    }
    const late = await shell('exec sleep 60', 200).catch((cause) => cause);
    assert.match(late.message, /no verdict in 0.2 s/);
    assert.equal(readFileSync(starts).length, 1);
    const findings = `echo '{"kind":"findings","findings":{"isIntact":true}}'`;
    const second = `test $(wc -l <${starts}) = 2 || kill -SEGV $$; ${findings}`;
    assert.equal((await shell(second)).isIntact, true);
    assert.match(logged.join(), /SIGSEGV: it is begun again, once/);
    await assert.rejects(shell('head -c 9000000 /dev/zero'), /says too much/);
  });

  it('passes on what the device answers', async () => {
    const none = { ...place, device: join(directory, 'none') };
    const options = { signal: AbortSignal.timeout(30_000), withFileSystem: false };
    await assert.rejects(
      verifyInChild(none, { ...options, onProgress: () => {} }),
      (error) => error instanceof Error && 'code' in error && error.code === 'ENOENT',
    );
  });
});

function padded(bytes: Buffer): Buffer {
  const blocks = Math.ceil(bytes.length / VERITY_BLOCK_BYTES);
  return Buffer.concat([bytes, Buffer.alloc(blocks * VERITY_BLOCK_BYTES - bytes.length)]);
}
