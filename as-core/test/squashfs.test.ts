/** The SquashFS reader against mksquashfs (as sqfstar and itself), unsquashfs, tar2sqfs and sqfs2tar. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileModule } from '../src/load.ts';
import {
  contentOf,
  ImageFolder,
  readerDetails,
  readerListing,
  runTool,
  sqfs2tarDetails,
  unsquashfsListing,
} from './squashfs-images.ts';
import {
  deepTree,
  hugeDirectory,
  seeded,
  someBytes,
  tarEntry,
  variedTree,
} from './squashfs-trees.ts';

const SEED = 20_250;

describe('the SquashFS reader', function () {
  this.timeout(60_000);
  const folder = new ImageFolder();
  after(() => folder.close());

  function checkSame(path: string): void {
    const image = folder.open(path);
    const report = image.verify();
    const listing = readerListing(image);
    assert.deepEqual(listing, unsquashfsListing(path));
    assert.deepEqual(readerDetails(image), sqfs2tarDetails(path));
    const { files, directories, symlinks, others } = report;
    assert.equal(files + directories + symlinks + others, image.superblock.inodes);
  }

  for (const blockKib of [4, 16, 128, 256, 512, 1024]) {
    it(`reads blocks of ${blockKib} KiB as unsquashfs and sqfs2tar do (seed ${SEED})`, () => {
      checkSame(folder.star(variedTree(SEED, blockKib * 1024), ['-b', `${blockKib}K`]));
    });
  }

  const OPTIONS: readonly (readonly string[])[] = [
    ['-no-fragments'],
    ['-no-tailends'],
    ['-no-sparse'],
    ['-no-duplicates'],
    ['-no-hardlinks'],
    ['-no-xattrs'],
    ['-exports'],
    ['-all-root', '-all-time', '7'],
    ['-noI'],
    ['-noId'],
    ['-noD'],
    ['-noF'],
    ['-noX'],
    ['-noI', '-noD', '-noF', '-noX', '-exports'],
    ['-nopad'],
  ];
  for (const options of OPTIONS) {
    it(`reads what is made with ${options.join(' ')}`, () => {
      checkSame(folder.star(variedTree(SEED + 1, 8192), ['-b', '8K', ...options]));
    });
  }

  for (const options of [[], ['-e'], ['-T'], ['-b', '4096'], ['-T', '-e', '-b', '1048576']]) {
    it(`reads what tar2sqfs ${options.join(' ')} makes`, () => {
      checkSame(folder.ng(variedTree(SEED + 2, 4096), options));
    });
  }

  it('reads a huge directory with its index', () => {
    const path = folder.star(hugeDirectory(SEED, 3000));
    checkSame(path);
    const image = folder.open(path);
    for (const entry of image.entries()) {
      if (entry.inode % 100 !== 0) continue;
      assert.equal(image.lookup(entry.path)?.path, entry.path);
    }
    assert.equal(image.lookup('/huge/nothing'), undefined);
    assert.equal(image.lookup('/after/nothing'), undefined);
  });

  it('reads directories 600 deep', () => {
    checkSame(folder.star(deepTree(600)));
  });

  it('reads an empty root, and a single file', () => {
    checkSame(folder.star([tarEntry({ path: 'a', type: 'file', content: Buffer.from('a') })]));
    checkSame(folder.star([tarEntry({ path: 'a', type: 'directory' })]));
    mkdirSync(join(folder.path, 'nothing'));
    const path = folder.next();
    const quiet = ['-comp', 'zstd', '-quiet', '-no-progress'];
    runTool('mksquashfs', [join(folder.path, 'nothing'), path, ...quiet]);
    checkSame(path);
  });

  it('reads sockets, fifos and devices of pseudo files, and fragments of everything', () => {
    const tree = join(folder.path, 'tree');
    mkdirSync(tree);
    const random = seeded(SEED);
    for (let at = 0; at < 40; at++) {
      writeFileSync(join(tree, `f${at}`), someBytes(at * 1000, random));
    }
    const pseudo = [
      'sock i 640 1 2 s',
      'pipe i 600 3 4 f',
      'tty c 620 0 5 4 300',
      'sd b 660 0 6 8 1',
    ];
    const kinds = [
      ['-always-use-fragments', '-Xcompression-level', '1'],
      ['-no-fragments', '-Xcompression-level', '22'],
    ];
    for (const kind of kinds) {
      const path = folder.next();
      const fixed = ['-comp', 'zstd', '-quiet', '-no-progress', '-b', '16K', ...kind];
      runTool('mksquashfs', [tree, path, ...fixed, ...pseudo.flatMap((each) => ['-p', each])]);
      checkSame(path);
      const types = [...folder.open(path).entries()].map(({ type }) => type);
      for (const type of ['socket', 'fifo', 'character-device', 'block-device'] as const) {
        assert.equal(types.filter((each) => each === type).length, 1, type);
      }
    }
  });

  it('reads over 1000 owners and 3000 attribute lists', () => {
    const entries = Array.from({ length: 3000 }, (_, at) =>
      tarEntry({
        ...{ path: `f${at}`, type: 'file', uid: at % 1300, gid: 100_000 + (at % 700) },
        xattrs: { 'user.number': Buffer.from(String(at)) },
      }),
    );
    checkSame(folder.star(entries));
  });

  it('has a memory of 15 MiB that cannot grow', async () => {
    const host = { read: () => 1, decode: () => -1 };
    const { exports } = new WebAssembly.Instance(await compileModule('squashfs'), { host });
    const { memory, memoryEnd } = exports as {
      memory: WebAssembly.Memory;
      memoryEnd(): number;
    };
    assert.equal(memory.buffer.byteLength, 15 * 1024 * 1024);
    assert.ok(memoryEnd() <= memory.buffer.byteLength);
    assert.throws(() => memory.grow(1), RangeError);
  });

  it('lets others use the image between two entries and in the middle of two walks', () => {
    const image = folder.open(folder.star(variedTree(SEED, 4096), ['-b', '4K']));
    const paths = [...image.entries()].map(({ path }) => path);
    const other = image.entries();
    const seen = [...image.entries()].map((entry) => {
      const beside = other.next().value;
      if (beside?.type === 'file') contentOf(image, beside);
      image.lookup('/d/f5');
      return entry.path;
    });
    assert.deepEqual(seen, paths);
  });

  it('says which file or table a byte of the image belongs to', () => {
    const plain = ['-noI', '-noD', '-noF', '-noX', '-exports', '-no-duplicates', '-b', '8K'];
    const path = folder.star(variedTree(SEED, 8192), plain);
    const bytes = readFileSync(path);
    const image = folder.open(path);
    let found = 0;
    for (const entry of image.entries()) {
      if (entry.type !== 'file' || entry.sizeBytes < 500) continue;
      const content = contentOf(image, entry);
      // Where its first bytes that are no hole stand, or those of its tail.
      const first = content.findIndex((byte) => byte !== 0);
      if (first < 0) continue;
      const start = first & ~8191;
      const at = bytes.indexOf(content.subarray(start, start + 500));
      if (at < 0) continue;
      found++;
      const owners = image.fileOfBlock(at);
      const sample = content.subarray(start, start + 500);
      assert.ok(owners.length > 0, `${entry.path} at ${at}`);
      // Files with the same content have blocks of their own here, and tails share a block.
      assert.ok(owners.some((owner) => contentOf(image, owner).includes(sample)));
    }
    assert.ok(found > 5);
    const place = (field: number) => Number(bytes.readBigUInt64LE(field));
    const expected: [number, string][] = [
      [0, '[superblock]'],
      [place(64), '[inode table]'],
      [place(72) - 1, '[inode table]'],
      [place(72), '[directory table]'],
      [place(80), '[fragment table]'],
      [place(88), '[export table]'],
      [place(48), '[id table]'],
      [place(56), '[attribute table]'],
      [image.superblock.usedBytes, '[padding]'],
    ];
    for (const [at, name] of expected) assert.deepEqual(image.fileOfBlock(at), [name]);
    assert.deepEqual(image.fileOfBlock(bytes.length), []);
    const all = image.fileOfBlock(0, { spanBytes: bytes.length });
    for (const [, name] of expected) assert.ok(all.includes(name), name);
    assert.ok(all.includes('/d/twin-a') && all.includes('/hard'));
  });

  it('refuses a use that makes no sense, and goes on after an error of a callback', () => {
    const path = folder.star(variedTree(SEED, 4096));
    const image = folder.open(path);
    assert.equal(image.root.path, '/');
    assert.throws(() => image.readFile('/d', () => {}), RangeError);
    assert.throws(
      () => image.readFile('/d/f5', () => image.verify()),
      /a callback cannot call the image/,
    );
    const stop = new Error('stop');
    assert.throws(
      () =>
        image.readFile('/d/f5', () => {
          throw stop;
        }),
      stop,
    );
    assert.equal(image.verify().ok, true);
    image.close();
    assert.throws(() => image.verify(), /closed/);
  });
});
