/** Malformed SquashFS images: each is refused with its own code, and the reader still works afterwards. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { compileModule } from '../src/load.ts';
import { SquashfsImage } from '../src/squashfs.ts';
import { CoreError, Status } from '../src/status.ts';
import { ZstdDecoder, ZstdEncoder } from '../src/zstd.ts';
import { DAMAGES } from './squashfs-damage.ts';
import { SAMPLE_BLOCK_BYTES } from './squashfs-damage-row.ts';
import { contentOf, ImageFolder, runTool } from './squashfs-images.ts';
import { Sample, SUPERBLOCK } from './squashfs-sample.ts';
import { deepTree, hugeDirectory, seeded, someBytes, tarEntry } from './squashfs-trees.ts';

const PLAIN = ['-noI', '-noD', '-noF', '-noX', '-b', String(SAMPLE_BLOCK_BYTES)];
const SEED = 4;

function code(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

describe('a malformed SquashFS', function () {
  this.timeout(60_000);
  const folder = new ImageFolder();
  after(() => folder.close());
  const seen = new Set<string>();

  const random = seeded(SEED);
  const tree = [
    tarEntry({ path: 'dir', type: 'directory' }),
    tarEntry({ path: 'dir/inner', type: 'directory' }),
    tarEntry({ path: 'dir/file', type: 'file', content: someBytes(3 * 4096 + 300, random) }),
    tarEntry({ path: 'fifo', type: 'fifo' }),
    tarEntry({ path: 'hard', type: 'file', content: someBytes(4096, random) }),
    tarEntry({ path: 'hard-too', type: 'link', target: 'hard' }),
    tarEntry({ path: 'hole', type: 'file', content: Buffer.alloc(2 * 4096 + 9) }),
    tarEntry({ path: 'link', type: 'symlink', target: 'dir/file' }),
    tarEntry({ path: 'other', type: 'directory' }),
    tarEntry({ path: 'other/hard-three', type: 'link', target: 'hard' }),
    tarEntry({
      ...{ path: 'x', type: 'file', uid: 1000, content: Buffer.from('x') },
      xattrs: { 'user.a': Buffer.from('b'), 'user.cc': Buffer.from('dd') },
    }),
    tarEntry({ path: 'zz', type: 'directory' }),
  ];
  const path = folder.star(tree, [...PLAIN, '-exports']);
  const sample = new Sample(path, folder.open(path));

  /** What refuses the image in opening or verifying it. */
  function refusal(bytes: Buffer): CoreError {
    try {
      folder.open(folder.file(bytes)).verify();
    } catch (error) {
      assert.ok(error instanceof CoreError, String(error));
      seen.add(error.code);
      return error;
    }
    throw new assert.AssertionError({ message: 'the image was taken' });
  }

  it('is taken when nothing is damaged', () => {
    assert.equal(folder.open(folder.file(sample.copy())).verify().ok, true);
  });

  for (const [name, what, change] of DAMAGES) {
    it(`has ${code(name)}: ${what}`, () => {
      const bytes = sample.copy();
      const changed = change(bytes, sample);
      const error = refusal(changed instanceof Buffer ? changed : bytes);
      assert.equal(error.code, code(name), error.message);
      assert.equal(error.status, Status[name]);
    });
  }

  it('has an inode too few', () => {
    const plain = folder.star(tree, PLAIN);
    const bytes = readFileSync(plain);
    bytes.writeUInt32LE(bytes.readUInt32LE(SUPERBLOCK.inodes) + 1, SUPERBLOCK.inodes);
    assert.equal(refusal(bytes).code, 'squashfs-inode-count-wrong');
  });

  it('has compressor options that cannot be', () => {
    const empty = join(folder.path, 'empty');
    mkdirSync(empty);
    const made = folder.next();
    const quiet = ['-comp', 'zstd', '-Xcompression-level', '5', '-quiet', '-no-progress'];
    runTool('mksquashfs', [empty, made, ...quiet]);
    const bytes = readFileSync(made);
    for (const level of [0, 23, 0xffffffff]) {
      bytes.writeUInt32LE(level, 98);
      assert.equal(refusal(bytes).code, 'squashfs-compressor-options');
    }
  });

  it('has blocks that decode to too much or too little', async () => {
    const encoder = await ZstdEncoder.create();
    const tries: [number, string][] = [
      [4097, 'squashfs-block-too-long'],
      [1 << 20, 'squashfs-block-too-long'],
      [4095, 'squashfs-block-length'],
      [0, 'squashfs-block-length'],
    ];
    for (const [length, expected] of tries) {
      const bytes = sample.copy();
      const frame = encoder.encode(Buffer.alloc(length), 3);
      const inode = sample.inode('/dir/file');
      bytes.set(frame, bytes.readUInt32LE(inode + 16));
      bytes.writeUInt32LE(frame.length, inode + 32);
      assert.equal(refusal(bytes).code, expected, `${length} bytes`);
    }
  });

  it('has an index that does not fit its directory', () => {
    const huge = folder.star(hugeDirectory(SEED, 600), ['-noI', '-b', '4K']);
    const found = new Sample(huge, folder.open(huge));
    const inode = found.inode('/huge');
    const index = inode + 40;
    const changes: ((bytes: Buffer) => void)[] = [
      (bytes) => bytes.writeUInt32LE(bytes.readUInt32LE(index) + 1, index),
      (bytes) => bytes.writeUInt32LE(0xffffff, index),
      (bytes) => bytes.writeUInt32LE(bytes.readUInt32LE(index + 4) + 1, index + 4),
      (bytes) => bytes.write('!', index + 12),
      (bytes) => bytes.writeUInt32LE(0xffffffff, index + 8),
    ];
    for (const change of changes) {
      const bytes = found.copy();
      change(bytes);
      assert.equal(refusal(bytes).code, 'squashfs-directory-index');
    }
  });

  it('has directories nested too deep', () => {
    const deep = folder.ng(deepTree(2060));
    assert.equal(refusal(readFileSync(deep)).code, 'squashfs-directory-too-deep');
    assert.throws(() => [...folder.open(deep).entries()], { code: 'squashfs-directory-too-deep' });
    assert.equal(folder.open(folder.ng(deepTree(2040))).verify().directories, 2041);
  });

  it('needs more work than it may', () => {
    const limited = folder.open(path, { workBytesMax: 60_000 });
    assert.throws(() => limited.verify(), { code: 'squashfs-too-much-work' });
    assert.equal(limited.lookup('/x')?.path, '/x');
    seen.add('squashfs-too-much-work');
  });

  it('ends while it is read', () => {
    const shrinking = folder.file(sample.copy());
    const image = folder.open(shrinking);
    truncateSync(shrinking, 200);
    assert.throws(
      () => image.verify(),
      (error) => error instanceof CoreError && error.cause instanceof Error,
    );
    seen.add('squashfs-read-failed');
    assert.throws(() => image.verify(), { code: 'squashfs-read-failed' });
  });

  it('makes the reader trap, and a fresh instance goes on', async () => {
    const decoder = await ZstdDecoder.create();
    let isBroken = false;
    const trapping = Object.assign(Object.create(decoder), {
      tryDecodeInto(frame: Uint8Array, target: Uint8Array) {
        if (isBroken) throw new WebAssembly.RuntimeError('unreachable');
        return decoder.tryDecodeInto(frame, target);
      },
    });
    const packed = folder.star(tree);
    const options = { fd: openSync(packed, 'r'), sizeBytes: statSync(packed).size };
    const module = await compileModule('squashfs');
    const image = SquashfsImage.openWith({ module, decoder: trapping }, options);
    isBroken = true;
    assert.throws(() => image.verify(), { code: 'squashfs-trap', status: Status.squashfsTrap });
    seen.add('squashfs-trap');
    isBroken = false;
    assert.equal(image.verify().ok, true);
    assert.equal(contentOf(image, '/x').toString(), 'x');
    closeSync(options.fd);
  });

  it('does not spoil the reader: what is whole can still be read after a refusal', () => {
    const bytes = sample.copy();
    bytes.writeUInt16LE(0, sample.inode('/fifo'));
    const image = folder.open(folder.file(bytes));
    for (let count = 0; count < 3; count++) {
      assert.throws(() => image.verify(), { code: 'squashfs-inode-type' });
      assert.throws(() => [...image.entries()], { code: 'squashfs-inode-type' });
      assert.equal(contentOf(image, '/x').toString(), 'x');
    }
  });

  it('was tried for every status there is', () => {
    const all = Object.keys(Status).filter((name) => name.startsWith('squashfs'));
    assert.deepEqual(
      all.map(code).filter((each) => !seen.has(each)),
      [],
    );
  });
});
