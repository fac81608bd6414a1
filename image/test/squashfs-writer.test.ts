import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import fc from 'fast-check';
import type { Seen } from './squashfs-oracle.ts';
import {
  expected,
  image,
  listByUnsquashfs,
  OPTIONS,
  readBySqfs2tar,
  run,
  withFile,
} from './squashfs-oracle.ts';
import { EVERYTHING, file, folder, noise, text } from './squashfs-samples.ts';

const KIB = 1024;
const BLOCK = OPTIONS.blockBytes;

/** Compares what sqfs2tar reads with what went in. Which name of a hard link comes first is the reader's choice. */
function assertReadsBack(bytes: Uint8Array, entries: readonly SquashfsEntry[]): void {
  const seen = withFile(bytes, readBySqfs2tar);
  const resolved = (path: string): Seen | undefined => {
    const at = seen.get(path);
    return at?.type === 'hard-link' ? seen.get(at.target) : at;
  };
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const paths = [...byPath].filter(([, { type }]) => type !== 'socket').map(([path]) => path);
  assert.deepEqual([...seen.keys()].sort(), [...new Set(['/', ...paths])].sort());
  for (const path of paths) {
    const entry = byPath.get(path);
    const inode = entry?.type === 'hard-link' ? byPath.get(entry.target) : entry;
    assert.ok(inode !== undefined && inode.type !== 'hard-link');
    assert.deepEqual(resolved(path), expected(inode), path);
  }
}

describe('SquashFS writer', () => {
  it('writes every type and every fact such that sqfs2tar reads the same', () => {
    for (const fragments of ['none', 'small-files', 'tails'] as const) {
      assertReadsBack(image(EVERYTHING, { fragments, isExportable: true }), EVERYTHING);
    }
  });

  it('writes every type such that unsquashfs lists and extracts the same', () => {
    const letters = {
      file: '-',
      directory: 'd',
      symlink: 'l',
      fifo: 'p',
      socket: 's',
      'block-device': 'b',
      'character-device': 'c',
    };
    withFile(image(EVERYTHING), (path, scratch) => {
      const listed = listByUnsquashfs(path);
      assert.equal(listed.size, EVERYTHING.length);
      for (const entry of EVERYTHING) {
        const line = listed.get(entry.path);
        assert.ok(line, entry.path);
        if (entry.type === 'hard-link') continue;
        const { owner, target, device, contents, mtimeSeconds } = expected(entry);
        assert.equal(line.mode[0], letters[entry.type]);
        assert.equal(line.owner, owner.replace(':', '/'));
        assert.equal(line.target, target);
        const time = new Date(mtimeSeconds * 1000).toISOString();
        assert.equal(line.time, time.slice(0, 16).replace('T', ' '));
        if (entry.type === 'file') assert.equal(line.size, String(contents.length));
        if (device === '1:3') assert.equal(line.size, '1,3');
      }
      const out = join(scratch, 'out');
      run('unsquashfs', '-q', '-n', '-no-xattrs', '-d', out, path, 'a');
      for (const entry of EVERYTHING) {
        if (entry.type !== 'file' || !entry.path.startsWith('/a/')) continue;
        assert.ok(readFileSync(join(out, entry.path)).equals(entry.contents), entry.path);
      }
    });
  });

  for (const blockKib of [4, 128, 256, 512, 1024]) {
    it(`blocks of ${blockKib} KiB: sizes on both sides of every boundary`, () => {
      const blockBytes = blockKib * KIB;
      const sizes = [0, 1, 2].flatMap((blocks) => [-1, 0, 1].map((by) => blocks * blockBytes + by));
      const entries = [1, 4095, 4096, 4097, ...sizes]
        .filter((size) => size >= 0)
        .flatMap((size) => [
          file(`/noise-${size}`, noise(`${size}`, size)),
          file(
            `/text-${size}`,
            Buffer.concat([Buffer.from(`${size}`), text(size)]).subarray(0, size),
          ),
        ]);
      const unique = [...new Map(entries.map((entry) => [entry.path, entry])).values()];
      for (const fragments of ['none', 'small-files', 'tails'] as const) {
        assertReadsBack(image(unique, { blockBytes, fragments }), unique);
      }
    });
  }

  it('a directory of 10,000 names, each found; its listing has an index', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `/d/name-${index * 7919}`);
    const entries = [folder('/d'), ...names.map((path) => file(path, Buffer.from(path)))];
    const bytes = image(entries);
    const wanted = entries
      .map(({ path }) => path)
      .concat('/')
      .sort();
    assert.deepEqual([...withFile(bytes, listByUnsquashfs).keys()].sort(), wanted);
    assertReadsBack(bytes, entries);
  });

  it('directories 200 deep', () => {
    const paths = Array.from({ length: 200 }, (_, depth) => '/d'.repeat(depth + 1));
    const entries = [...paths.map((path) => folder(path)), file(`${paths.at(-1)}/f`, text(10))];
    assertReadsBack(image(entries), entries);
  });

  it('an empty tree', () => {
    assertReadsBack(image([]), []);
    assert.equal(withFile(image([]), listByUnsquashfs).size, 1);
  });

  it('equal files are stored once, holes not at all', () => {
    const one = image([file('/a', noise('a', 3 * BLOCK + 7))]);
    const two = image([
      file('/a', noise('a', 3 * BLOCK + 7)),
      file('/b', noise('a', 3 * BLOCK + 7)),
    ]);
    assert.ok(two.length - one.length <= 4096, `${two.length} - ${one.length}`);
    const holes = image([file('/holes', Buffer.alloc(50 * BLOCK + 1))]);
    assert.equal(holes.length, 4096);
  });

  it('never stores what compression makes larger', () => {
    const contents = noise('x', 4 * BLOCK);
    const bytes = image([file('/noise', contents)]);
    assert.ok(bytes.includes(contents));
  });

  it('any tree: sqfs2tar reads it back, whatever the order of its entries', () => {
    const name = fc.stringMatching(/^[a-zé-]{1,12}$/);
    const anyFile = fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 4 }),
      size: fc.oneof(fc.nat(9000), fc.constantFrom(4095, 4096, 4097, 8192, 12_289)),
      fill: fc.constantFrom('zeros', 'noise', 'text'),
      mode: fc.nat(0o7777),
      uid: fc.nat(5),
      mtimeSeconds: fc.nat(0x7fff_ffff),
    });
    const property = fc.property(
      ...[fc.array(anyFile, { maxLength: 40 }), fc.constantFrom('none', 'small-files', 'tails')],
      fc.infiniteStream(fc.nat()),
      (files, rule, random) => {
        const entries = new Map<string, SquashfsEntry>();
        for (const { path, size, fill, mode, uid, mtimeSeconds } of files) {
          const folders = path.map((_, depth) => `/${path.slice(0, depth).join('/')}`).slice(1);
          const full = `/${path.join('/')}`;
          const isBlocked = folders.some((at) => entries.get(at)?.type === 'file');
          if (entries.has(full) || isBlocked) continue;
          for (const at of folders) entries.set(at, folder(at));
          const contents = { zeros: Buffer.alloc, text, noise: (n: number) => noise(full, n) }[
            fill
          ];
          entries.set(full, file(full, contents(size), { mode, uid, mtimeSeconds }));
        }
        const list = [...entries.values()];
        const shuffled = list
          .map((entry) => ({ entry, key: random.next().value }))
          .sort((a, b) => a.key - b.key)
          .map(({ entry }) => entry);
        const options = { blockBytes: 4096, fragments: rule as 'none' };
        const bytes = image(list, options);
        assert.ok(bytes.equals(image(shuffled, options)), 'the order of the entries shows');
        assertReadsBack(bytes, list);
      },
    );
    fc.assert(property, { numRuns: 60, verbose: true });
  });
});

function assertKernelReads(path: string, entry: SquashfsEntry): void {
  if (entry.type === 'hard-link') return;
  const wanted = expected(entry);
  const facts = lstatSync(path);
  const { mode, uid, gid, mtimeMs, rdev } = facts;
  assert.equal(mode & 0o7777, wanted.mode, path);
  assert.equal(`${uid}:${gid}`, wanted.owner, path);
  assert.equal(mtimeMs / 1000, wanted.mtimeSeconds, path);
  if (entry.type === 'symlink') assert.equal(readlinkSync(path), entry.target, path);
  if (entry.type === 'file') assert.ok(readFileSync(path).equals(entry.contents), path);
  const isType = {
    file: facts.isFile(),
    directory: facts.isDirectory(),
    symlink: facts.isSymbolicLink(),
    fifo: facts.isFIFO(),
    socket: facts.isSocket(),
    'block-device': facts.isBlockDevice(),
    'character-device': facts.isCharacterDevice(),
  };
  assert.ok(isType[entry.type], path);
  if (entry.type === 'block-device' || entry.type === 'character-device') {
    // As glibc puts the two numbers into one, for these sizes.
    const { major, minor } = entry;
    assert.equal(rdev, (minor - (minor & 0xff)) * 0x1000 + major * 0x100 + (minor & 0xff), path);
  }
}

describe('SquashFS writer and the kernel', () => {
  it('mounts the image and reads the same (where a test may mount)', function () {
    const filesystems = readFileSync('/proc/filesystems', 'utf8');
    if (process.getuid?.() !== 0 || !filesystems.includes('squashfs')) this.skip();
    const names = Array.from({ length: 3000 }, (_, index) => `/many/name-${index * 7919}`);
    const entries = [
      ...EVERYTHING,
      folder('/many'),
      ...names.map((path) => file(path, Buffer.from(path))),
    ];
    withFile(image(entries, { fragments: 'tails' }), (path, scratch) => {
      run('mkdir', join(scratch, 'mnt'));
      try {
        run('mount', '-t', 'squashfs', '-o', 'loop,ro', path, join(scratch, 'mnt'));
      } catch {
        this.skip();
      }
      try {
        assert.equal(readdirSync(join(scratch, 'mnt/many')).length, names.length);
        for (const entry of entries) assertKernelReads(join(scratch, 'mnt', entry.path), entry);
        const linked = lstatSync(join(scratch, 'mnt/linked-again'));
        assert.deepEqual([linked.nlink, linked.size], [3, 5 * BLOCK + 17]);
        // A hole takes no blocks of 512 bytes.
        assert.equal(lstatSync(join(scratch, 'mnt/a/zeros')).blocks, 0);
      } finally {
        run('umount', join(scratch, 'mnt'));
      }
    });
  });
});
