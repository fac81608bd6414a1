import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { writeListing } from '@keelos/image/core/squashfs-directory.ts';
import { createMetadataStream } from '@keelos/image/core/squashfs-metadata.ts';
import type { SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import { squashfsTree } from '@keelos/image/core/squashfs-tree.ts';
import { layoutSquashfs, planSquashfs } from '@keelos/image/core/squashfs-writer.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { image, OPTIONS } from './squashfs-oracle.ts';

const BLOCK = OPTIONS.blockBytes;
const BYTES_SCRIPT = fileURLToPath(new URL('./squashfs-bytes.ts', import.meta.url));

const file = (path: string, contents: Uint8Array, more: object = {}): SquashfsEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  contents,
  ...more,
});
const folder = (path: string): SquashfsEntry => ({ type: 'directory', path, mode: 0o755 });

const plan = (entries: readonly SquashfsEntry[], more: object = {}) =>
  planSquashfs(entries, { ...OPTIONS, ...more });

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Some thing to compress, the same every time. */
function tree(): SquashfsEntry[] {
  const files = Array.from({ length: 40 }, (_, index) => {
    const line = `${sha256(Buffer.from(`${index}`))} line of file ${index}\n`;
    return file(`/d/file-${index}`, Buffer.alloc(index * 20_011, line));
  });
  return [folder('/d'), ...files];
}

describe('SquashFS bytes', () => {
  it('are the same from no, 1 and 3 workers, and from entries in any order', async () => {
    const wanted = sha256(image(tree(), { level: 3 }));
    for (const count of [1, 3]) {
      const workers = new CoreWorkers(count);
      const fractions: number[] = [];
      const onProgress = (fraction: number) => fractions.push(fraction);
      const options = { ...OPTIONS, level: 3, workers, onProgress };
      try {
        for (const entries of [tree(), tree().reverse()]) {
          assert.equal(sha256(await writeSquashfs({ tree: entries, ...options })), wanted);
          assert.equal(fractions.at(-1), 1);
        }
      } finally {
        await workers.close();
      }
    }
  });

  it('are the same in every time zone and locale', () => {
    const places = [
      { TZ: 'UTC', LC_ALL: 'C' },
      { TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' },
      { TZ: 'America/St_Johns', LC_ALL: 'sv_SE.UTF-8', LANG: 'sv_SE.UTF-8' },
    ];
    const sums = places.map((place) =>
      execFileSync(process.execPath, [BYTES_SCRIPT], { env: { ...process.env, ...place } }),
    );
    assert.match(String(sums[0]), /^[0-9a-f]{64}$/);
    for (const sum of sums) assert.equal(String(sum), String(sums[0]));
  });

  it('stop being made when the signal says so', async () => {
    const workers = new CoreWorkers(1);
    try {
      const signal = AbortSignal.abort(new Error('enough'));
      await assert.rejects(writeSquashfs({ tree: tree(), ...OPTIONS, workers, signal }), /enough/);
    } finally {
      await workers.close();
    }
  });
});

describe('SquashFS layout', () => {
  const pieces = (entries: readonly SquashfsEntry[], more: object = {}) =>
    plan(entries, more).data.pieces.map((piece) => String.fromCharCode(piece[0] ?? 0));

  it('a file of a higher rank lies behind, and moves nothing in front of it', () => {
    const stable = [file('/b', Buffer.alloc(BLOCK, 'b')), file('/c', Buffer.alloc(BLOCK, 'c'))];
    const restless = (letter: string, blocks: number) =>
      file('/a', Buffer.alloc(blocks * BLOCK, letter), { rank: 1 });
    assert.deepEqual(pieces([...stable, restless('a', 1)]), ['b', 'c', 'a']);
    assert.deepEqual(pieces([...stable, restless('x', 2)]), ['b', 'c', 'x', 'x']);
  });

  it('files of two ranks share no fragment', () => {
    const entries = [file('/a', Buffer.from('a')), file('/b', Buffer.from('b'), { rank: 1 })];
    assert.deepEqual(pieces(entries), ['a', 'b']);
    assert.deepEqual(pieces(entries.map((entry) => ({ ...entry, rank: 0 }))), ['a']);
  });

  it('files of one directory lie together, in the order of the bytes of their names', () => {
    const paths = ['/b/z', '/a', '/b/\u{1f600}', '/b/\u{ffee}', '/b-', '/B'];
    const entries = [folder('/b'), ...paths.map((path) => file(path, Buffer.alloc(BLOCK, path)))];
    const order = [...plan(entries).data.files.keys()].map(({ entry }) => entry.path);
    assert.deepEqual(order, ['/B', '/a', '/b-', '/b/z', '/b/\u{ffee}', '/b/\u{1f600}']);
  });

  it('the blocks of a file follow each other when its tail completes a fragment', () => {
    const tail = (letter: string) => Buffer.alloc(BLOCK + BLOCK / 2 + 1, letter);
    const entries = [file('/a', tail('a')), file('/b', tail('b')), file('/c', tail('c'))];
    const { data } = plan(entries, { fragments: 'tails' });
    assert.deepEqual(
      [...data.files.values()].map(({ blocks }) => blocks),
      [[0], [1], [3]],
    );
    assert.deepEqual(data.fragments, [2, 4, 5]);
  });

  it('inodes of one directory have consecutive numbers, the root has 1', () => {
    const { inodes } = squashfsTree([
      ...[folder('/b'), file('/b/x', Buffer.alloc(0)), folder('/a')],
      ...['/y', '/b/y'].map((path) => ({ type: 'hard-link' as const, path, target: '/b/x' })),
    ]);
    const numbered = inodes.map(({ number, entry, links }) => [number, entry.path, links]);
    assert.deepEqual(numbered, [
      [1, '/', 4],
      [2, '/a', 2],
      [3, '/b', 2],
      [4, '/b/x', 3],
    ]);
  });
});

/** Writes a listing of `count` names with numbers from `numberOf`, nothing compressed, 10 inodes in a block of 100 bytes. */
function listing(count: number, numberOf: (index: number) => number) {
  const names = Array.from({ length: count }, (_, index) => {
    const path = `/name-${String(index).padStart(6, '0')}`;
    const entry = { type: 'fifo', path, mode: 0o600 } as const;
    return {
      name: Buffer.from(path.slice(1)),
      inode: { entry, number: numberOf(index), links: 1 },
    };
  });
  const stream = createMetadataStream((bytes) => Buffer.concat([bytes, bytes]));
  const places = new Map(names.map(({ inode }) => [inode, { blockStart: 0, offset: 0 }]));
  // Something in front, as other listings would be.
  stream.write(Buffer.alloc(5000));
  const written = writeListing(stream, { names, places });
  const { bytes } = stream.finish();
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16LE(at) & 0x7fff;
    blocks.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return { written, text: Buffer.concat(blocks).subarray(5000), names };
}

/** Each header of a listing: where it is, its number, and the deltas and names behind it. */
function headers(text: Buffer) {
  const found = [];
  for (let at = 0; at < text.length; ) {
    const header = { at, number: text.readUInt32LE(at + 8), numbers: [] as number[], first: '' };
    const count = text.readUInt32LE(at) + 1;
    at += 12;
    for (let entry = 0; entry < count; entry += 1) {
      const length = text.readUInt16LE(at + 6) + 1;
      header.numbers.push(header.number + text.readInt16LE(at + 2));
      header.first ||= text.toString('utf8', at + 8, at + 8 + length);
      at += 8 + length;
    }
    found.push(header);
  }
  return found;
}

describe('SquashFS listings', () => {
  it('no header has more than 256 names', () => {
    const counts = headers(listing(600, (index) => index + 1).text).map(
      ({ numbers }) => numbers.length,
    );
    assert.deepEqual(counts, [256, 256, 88]);
  });

  it('a number that is 16 bits away is said with a header of its own', () => {
    for (const step of [0x7fff, 0x8000, -0x8000, -0x8001]) {
      const numberOf = (index: number) => 100_000 + index * step;
      const found = headers(listing(2, numberOf).text);
      assert.deepEqual(
        found.flatMap(({ numbers }) => numbers),
        [100_000, 100_000 + step],
      );
      assert.equal(found.length, step === 0x7fff || step === -0x8000 ? 1 : 2);
    }
  });

  it('the index has the first header in each further 8 KiB, with its name', () => {
    const { written, text } = listing(10_000, (index) => index + 1);
    assert.equal(text.length, written.sizeBytes);
    // Blocks that are not compressed begin every 8194 bytes.
    const blockOf = (at: number) => Math.floor((5000 + at) / 8192);
    const firsts = headers(text).filter(
      ({ at }, index, all) => index > 0 && blockOf(at) !== blockOf(all[index - 1]?.at ?? 0),
    );
    assert.deepEqual(
      written.index.map(({ listingOffset, blockStart, name }) => [
        ...[listingOffset, blockStart, name.toString()],
      ]),
      firsts.map(({ at, first }) => [at, blockOf(at) * 8194, first]),
    );
    assert.equal(firsts.length, blockOf(text.length));
  });

  it('a directory with an index has an inode that can hold it', () => {
    const many = Array.from({ length: 2000 }, (_, index) => file(`/${index}`, Buffer.alloc(0)));
    const small = layoutSquashfs(plan(many), {
      packed: [],
      compress: (bytes) => Buffer.concat([bytes, bytes]),
    });
    const root = Number(small.readBigUInt64LE(32));
    const at = Number(small.readBigUInt64LE(64)) + Math.floor(root / 65_536) + 2 + (root % 65_536);
    const [type, steps] = [small.readUInt16LE(at), small.readUInt16LE(at + 32)];
    assert.deepEqual([type, steps], [8, 2]);
  });
});

describe('SquashFS trees that are refused', () => {
  const a = file('/a', Buffer.alloc(0));
  const cases: readonly (readonly [string, readonly SquashfsEntry[], RegExp])[] = [
    ['a relative path', [file('a', Buffer.alloc(0))], /not an absolute path/],
    ['an empty part', [folder('/a'), folder('/a//b')], /a part of it is ""/],
    ['a slash at the end', [folder('/a/')], /a part of it is ""/],
    ['..', [folder('/..')], /a part of it is "\.\."/],
    ['.', [folder('/.')], /a part of it is "\."/],
    ['NUL', [folder('/a\0b')], /a NUL in a name/],
    ['half a character', [folder('/\ud800')], /not Unicode text/],
    ['a name of 256 bytes', [folder(`/${'ä'.repeat(128)}`)], /more than 255 bytes/],
    ['a path that is there twice', [a, a], /it is there twice/],
    ['no directory', [file('/b/c', Buffer.alloc(0))], /the directory that it is in is missing/],
    ['a file as directory', [a, file('/a/b', Buffer.alloc(0))], /that it is in is missing/],
    ['a root that is a file', [file('/', Buffer.alloc(0))], /the root is a directory/],
    ['a link to nothing', [{ type: 'hard-link', path: '/b', target: '/c' }], /no inode at \/c/],
    [
      'a link to a link',
      [a, ...['/b', '/c'].map((path) => ({ type: 'hard-link' as const, path, target: '/b' }))],
      /no inode at \/b/,
    ],
    [
      'a link to a directory',
      [folder('/d'), { type: 'hard-link', path: '/e', target: '/d' }],
      /a directory has one name/,
    ],
    ['an empty target', [{ type: 'symlink', path: '/l', mode: 0o777, target: '' }], /1 to 4095/],
    [
      'a target of 4096 bytes',
      [{ type: 'symlink', path: '/l', mode: 0o777, target: 'x'.repeat(4096) }],
      /1 to 4095/,
    ],
    ['a mode with a type', [file('/a', Buffer.alloc(0), { mode: 0o100644 })], /mode 33188/],
    ['an owner of 33 bits', [file('/a', Buffer.alloc(0), { uid: 2 ** 32 })], /no 32 bits/],
    ['a negative time', [file('/a', Buffer.alloc(0), { mtimeSeconds: -1 })], /no 32 bits/],
    [
      'a major number of 13 bits',
      [{ type: 'block-device', path: '/b', mode: 0o600, major: 4096, minor: 0 }],
      /no such device number/,
    ],
    [
      'an xattr of no namespace',
      [file('/a', Buffer.alloc(0), { xattrs: [{ name: 'system.x', value: Buffer.alloc(0) }] })],
      /expected user\., trusted\. or security\./,
    ],
    [
      'an xattr that is there twice',
      [
        file('/a', Buffer.alloc(0), {
          xattrs: ['user.x', 'user.x'].map((name) => ({ name, value: Buffer.alloc(0) })),
        }),
      ],
      /it is there twice/,
    ],
  ];
  for (const [name, entries, message] of cases) {
    it(name, () => {
      assert.throws(
        () => planSquashfs(entries, OPTIONS),
        (error) => error instanceof RangeError && message.test(error.message),
      );
    });
  }

  for (const blockBytes of [0, 2048, 4095, 5000, 2_097_152, Number.NaN]) {
    it(`blocks of ${blockBytes} bytes`, () => {
      assert.throws(() => planSquashfs([], { ...OPTIONS, blockBytes }), /no block size/);
    });
  }

  it('more than 65,535 owners', () => {
    const entries = Array.from({ length: 65_536 }, (_, uid) => ({
      ...folder(`/${uid}`),
      uid,
    })) as SquashfsEntry[];
    assert.throws(() => planSquashfs(entries, OPTIONS), /65536 owners/);
  });
});
