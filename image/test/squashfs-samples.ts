/** Trees that hold everything a SquashFS can hold. */
import { createHash } from 'node:crypto';
import type { SquashfsEntry, Xattr } from '@keelos/image/core/squashfs-tree.ts';
import { OPTIONS } from './squashfs-oracle.ts';

const BLOCK = OPTIONS.blockBytes;

/** Bytes that nothing compresses, the same for the same name. */
export function noise(name: string, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let count = 0; count * 32 < length; count += 1) {
    parts.push(createHash('sha256').update(`${name} ${count}`).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** Bytes that compress well. */
export function text(length: number): Buffer {
  return Buffer.alloc(length, 'All work and no play makes a dull boy. ');
}

/** A regular file, 0644. */
export const file = (path: string, contents: Uint8Array, more: object = {}): SquashfsEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  contents,
  ...more,
});
/** A directory, 0755. */
export const folder = (path: string, more: object = {}): SquashfsEntry => ({
  type: 'directory',
  path,
  mode: 0o755,
  ...more,
});
const xattr = (name: string, value: Uint8Array): Xattr => ({ name, value });

const ATTRIBUTES = [
  xattr('user.note', Buffer.from('a note')),
  xattr('security.capability', noise('capability', 20)),
  xattr('trusted.empty', Buffer.alloc(0)),
];

/** Every type, every fact, everything that has a form of its own in the format. */
export const EVERYTHING: readonly SquashfsEntry[] = [
  folder('/', { mode: 0o751, uid: 3, gid: 4, mtimeSeconds: 1, xattrs: ATTRIBUTES }),
  folder('/empty', { mode: 0o1777 }),
  folder('/a'),
  folder('/a/b', { mtimeSeconds: 0xffff_fffe }),
  file('/a/b/none', Buffer.alloc(0)),
  file('/a/b/one', Buffer.from('1')),
  file('/a/b/setuid', text(700), { mode: 0o4755, uid: 65_534, gid: 0xffff_fffe }),
  file('/a/text', text(5 * BLOCK + 17)),
  file('/a/text-again', text(5 * BLOCK + 17), { uid: 7 }),
  file('/a/noise', noise('noise', 2 * BLOCK + 5)),
  file('/a/small-noise', noise('small', 999), { xattrs: ATTRIBUTES.toReversed() }),
  file('/a/zeros', Buffer.alloc(3 * BLOCK + 9)),
  file('/a/zeros-even', Buffer.alloc(2 * BLOCK)),
  file('/a/hole-in-front', Buffer.concat([Buffer.alloc(BLOCK), text(BLOCK + 1)])),
  file('/a/hole-within', Buffer.concat([text(BLOCK), Buffer.alloc(BLOCK), noise('x', BLOCK + 1)])),
  file('/a/hole-behind', Buffer.concat([text(BLOCK), Buffer.alloc(BLOCK + 1)])),
  { type: 'hard-link', path: '/a/b/text-linked', target: '/a/text' },
  { type: 'hard-link', path: '/linked-again', target: '/a/text' },
  { type: 'symlink', path: '/link', mode: 0o777, target: '../ä/nowhere', xattrs: [] },
  { type: 'symlink', path: '/long-link', mode: 0o777, target: 'x'.repeat(4095) },
  {
    type: 'symlink',
    path: '/marked-link',
    mode: 0o777,
    target: 'a',
    xattrs: [xattr('trusted.t', text(70))],
  },
  { type: 'character-device', path: '/null', mode: 0o666, major: 1, minor: 3 },
  { type: 'block-device', path: '/disk', mode: 0o660, gid: 6, major: 0xfff, minor: 0xf_ffff },
  {
    type: 'character-device',
    path: '/marked-device',
    mode: 0o600,
    major: 10,
    minor: 300,
    xattrs: [xattr('user.d', noise('d', 4000))],
  },
  { type: 'fifo', path: '/fifo', mode: 0o600, mtimeSeconds: 0 },
  { type: 'fifo', path: '/marked-fifo', mode: 0o600, xattrs: ATTRIBUTES },
  { type: 'socket', path: '/socket', mode: 0o755, uid: 9 },
  file(`/${'n'.repeat(255)}`, text(3)),
  file('/ünï\u{1f600}cödé and spaces', text(4)),
  file('/\u{ffee}sorts-before-the-one-above-in-bytes', text(5)),
];
