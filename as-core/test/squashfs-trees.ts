/** Trees for the tests of the SquashFS reader: the same seed makes the same tree. */
import type { TarEntry } from './squashfs-tar.ts';

/** A stream of numbers (mulberry32, public domain): `random(n)` is a whole number from 0 to n - 1. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}

const EPOCH = 1_600_000_000;

/** An entry with everything that is not said. */
export function tarEntry(entry: Partial<TarEntry> & Pick<TarEntry, 'path' | 'type'>): TarEntry {
  return {
    mode: entry.type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: EPOCH,
    content: Buffer.alloc(0),
    target: '',
    device: [0, 0],
    xattrs: {},
    ...entry,
  };
}

/** Bytes that compress by about half, with runs of zeros. */
export function someBytes(length: number, random: (below: number) => number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const run = Math.min(length - at, 1 + random(4096));
    const kind = random(3);
    if (kind === 0) for (let each = 0; each < run; each++) bytes[at + each] = random(256);
    if (kind === 1) bytes.fill(random(256), at, at + run);
    at += run;
  }
  return bytes;
}

function text(length: number, random: (below: number) => number): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789._-';
  return Array.from({ length }, () => letters[random(letters.length)]).join('');
}

/** A little of everything that tar can carry. `blockBytes`: sizes around it are tried. */
export function variedTree(seed: number, blockBytes: number): TarEntry[] {
  const random = seeded(seed);
  const around = [0, 1, 2, 511, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes + 17];
  const owner = () => ({
    uid: random(5) * 1000,
    gid: [0, 7, 70_000, 4_000_000_000][random(4)] ?? 0,
  });
  const stamp = () => ({ mtimeSeconds: EPOCH + random(100_000_000), mode: random(0o10000) });
  const dir = (path: string) => tarEntry({ path, type: 'directory', ...owner(), ...stamp() });
  const twin = someBytes(blockBytes + 100, random);
  const shared = { 'user.shared': Buffer.from('the same'), 'user.empty': Buffer.alloc(0) };
  return [
    dir('d'),
    dir('d/empty'),
    dir('ä-ö-日本'),
    ...around.map((size, at) =>
      tarEntry({
        path: `d/f${at}`,
        type: 'file',
        content: someBytes(size, random),
        ...owner(),
        ...stamp(),
      }),
    ),
    tarEntry({ path: 'd/hole', type: 'file', content: Buffer.alloc(3 * blockBytes + 5) }),
    tarEntry({ path: 'd/hole-block', type: 'file', content: Buffer.alloc(2 * blockBytes) }),
    tarEntry({
      path: 'd/hole-end',
      type: 'file',
      content: Buffer.concat([Buffer.alloc(2 * blockBytes), twin]),
    }),
    tarEntry({ path: 'd/twin-a', type: 'file', content: twin }),
    tarEntry({ path: 'd/twin-b', type: 'file', content: twin, mode: 0o400 }),
    tarEntry({ path: 'hard', type: 'link', target: 'd/f4' }),
    tarEntry({ path: 'ä-ö-日本/hard-too', type: 'link', target: 'd/f4' }),
    tarEntry({
      path: 'link',
      type: 'symlink',
      target: 'd/../anywhere else',
      mode: 0o777,
      ...owner(),
    }),
    tarEntry({ path: 'long-link', type: 'symlink', target: text(4000, random), mode: 0o777 }),
    tarEntry({ path: 'null', type: 'character', device: [1, 3], ...stamp() }),
    tarEntry({ path: 'disk', type: 'block', device: [259, 70_000], ...stamp() }),
    tarEntry({ path: 'pipe', type: 'fifo', ...stamp() }),
    tarEntry({ path: 'x', type: 'file', content: Buffer.from('x'), xattrs: shared }),
    tarEntry({ path: 'x2', type: 'file', content: twin, xattrs: shared }),
    tarEntry({
      path: 'x3',
      type: 'directory',
      xattrs: { ...shared, 'user.big': someBytes(9000, random) },
    }),
    tarEntry({
      path: 'x4',
      type: 'fifo',
      xattrs: { 'user.big': someBytes(3000, random), 'security.a': Buffer.from('b') },
    }),
    tarEntry({ path: text(255, random), type: 'file', content: Buffer.from('long') }),
  ];
}

/** A directory with so many and such long names that it has an index. */
export function hugeDirectory(seed: number, count: number): TarEntry[] {
  const random = seeded(seed);
  const names = Array.from({ length: count }, (_, at) => `${text(1 + random(200), random)}-${at}`);
  return [
    tarEntry({ path: 'huge', type: 'directory' }),
    ...names.map((name, at) =>
      at % 7 === 0
        ? tarEntry({ path: `huge/${name}`, type: 'directory' })
        : tarEntry({ path: `huge/${name}`, type: 'file', content: Buffer.from(name) }),
    ),
    tarEntry({ path: 'after', type: 'file' }),
  ];
}

/** Directories in each other. */
export function deepTree(depth: number): TarEntry[] {
  return Array.from({ length: depth }, (_, at) =>
    tarEntry({ path: Array.from({ length: at + 1 }, () => 'd').join('/'), type: 'directory' }),
  );
}
