/** Extended attributes of SquashFS: each set of attributes once, inodes point to it by its index. */
import { fields, NONE, reference } from './squashfs-inode.ts';
import type { Compress } from './squashfs-metadata.ts';
import { createMetadataStream, metadataTable } from './squashfs-metadata.ts';
import type { TreeInode, Xattr } from './squashfs-tree.ts';

const PREFIXES = ['user.', 'trusted.', 'security.'] as const;
const NAME_BYTES_MAX = 255;
const VALUE_BYTES_MAX = 65_536;

/** All sets of attributes. */
export interface XattrSets {
  /** Of the set of an inode, or {@link NONE}. */
  indexOf(inode: TreeInode): number;
  /** The encoded sets, in the order of their indices. */
  readonly sets: readonly { readonly bytes: Buffer; readonly count: number }[];
}

function encoded({ name, value }: Xattr): Buffer {
  const type = PREFIXES.findIndex((prefix) => name.startsWith(prefix));
  const rest = Buffer.from(name.slice(PREFIXES[type]?.length));
  if (type < 0 || rest.length === 0 || rest.length > NAME_BYTES_MAX || rest.includes(0)) {
    throw new RangeError(`Cannot write xattr "${name}": expected user., trusted. or security.`);
  }
  if (value.length > VALUE_BYTES_MAX) {
    throw new RangeError(`Cannot write xattr "${name}": its value has ${value.length} bytes`);
  }
  return Buffer.concat([
    fields([2, type], [2, rest.length]),
    rest,
    fields([4, value.length]),
    value,
  ]);
}

function setOf(xattrs: readonly Xattr[]): Buffer {
  const sorted = xattrs.toSorted((a, b) =>
    Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  for (const [index, { name }] of sorted.entries()) {
    if (name === sorted[index + 1]?.name) {
      throw new RangeError(`Cannot write xattr "${name}": it is there twice`);
    }
  }
  return Buffer.concat(sorted.map(encoded));
}

/**
 * Gathers the sets; equal ones once.
 *
 * @throws RangeError for a name or a value that the kernel would not read, or a name that is there twice
 */
export function xattrSets(inodes: readonly TreeInode[]): XattrSets {
  const indices = new Map<string, number>();
  const sets: { bytes: Buffer; count: number }[] = [];
  const byInode = new Map<TreeInode, number>();
  for (const inode of inodes) {
    const { xattrs = [] } = inode.entry;
    if (xattrs.length === 0) continue;
    const bytes = setOf(xattrs);
    const key = bytes.toString('latin1');
    const index = indices.get(key) ?? sets.push({ bytes, count: xattrs.length }) - 1;
    indices.set(key, index);
    byInode.set(inode, index);
  }
  return { indexOf: (inode) => byInode.get(inode) ?? NONE, sets };
}

/**
 * The table of all sets: their bytes, the positions of them, and a heading that says where the bytes begin.
 *
 * @param sets at least one
 * @param at where the table's first byte will be in the image
 */
export function xattrTable(
  sets: XattrSets['sets'],
  options: { readonly at: number; readonly compress: Compress },
): { readonly bytes: Buffer; readonly headingOffset: number } {
  const { at, compress } = options;
  const stream = createMetadataStream(compress);
  const records = sets.map(({ bytes, count }) => {
    const place = reference(stream.position());
    stream.write(bytes);
    return fields([8, place], [4, count], [4, bytes.length]);
  });
  const { bytes } = stream.finish();
  const heading = fields([8, at], [4, sets.length], [4, 0]);
  const table = metadataTable(Buffer.concat(records), { at: at + bytes.length, compress, heading });
  return {
    bytes: Buffer.concat([bytes, table.bytes]),
    headingOffset: bytes.length + table.listOffset,
  };
}
