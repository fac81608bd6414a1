/** Damages of inodes, files and directories. */
import { add, type Damage, FAR, NONE, PLAIN, SAMPLE_BLOCK_BYTES } from './squashfs-damage-row.ts';
import { SUPERBLOCK as S, type Sample } from './squashfs-sample.ts';

const inodes: readonly Damage[] = [
  ['squashfsRootInode', 'a file', (b, s) => b.writeBigUInt64LE(s.reference('/dir/file'), S.root)],
  ['squashfsInodeReference', 'root outside', (b) => b.writeBigUInt64LE(FAR << 16n, S.root)],
  ['squashfsMetadataOffset', 'root past its block', (b) => b.writeBigUInt64LE(0x1fffn, S.root)],
  ['squashfsMetadataOffset', 'root past 8 KiB', (b) => b.writeBigUInt64LE(0x2000n, S.root)],
  ['squashfsInodeType', '0', (b, s) => b.writeUInt16LE(0, s.inode('/dir/file'))],
  ['squashfsInodeType', '15', (b, s) => b.writeUInt16LE(15, s.inode('/dir/file'))],
  ['squashfsInodeMode', 'bit 12', (b, s) => b.writeUInt16LE(0x1000, s.inode('/fifo') + 2)],
  [
    'squashfsInodeId',
    'uid',
    (b, s) => b.writeUInt16LE(b.readUInt16LE(S.ids), s.inode('/fifo') + 4),
  ],
  ['squashfsInodeId', 'gid', (b, s) => b.writeUInt16LE(0xffff, s.inode('/fifo') + 6)],
  ['squashfsInodeNumber', '0', (b, s) => b.writeUInt32LE(0, s.inode('/fifo') + 12)],
  [
    'squashfsInodeNumber',
    'too high',
    (b, s) => b.writeUInt32LE(b.readUInt32LE(S.inodes) + 1, s.inode('/fifo') + 12),
  ],
  [
    'squashfsInodeNumberTwice',
    'of another',
    (b, s) => b.writeUInt32LE(s.number('/dir'), s.inode('/fifo') + 12),
  ],
  ['squashfsInodeXattr', 'over the count', (b, s) => b.writeUInt32LE(77, s.inode('/x') + 52)],
  ['squashfsInodeReference', 'entry beside its inode', (b, s) => add(b, s.entry('/dir/file'))],
  [
    'squashfsInodeReference',
    'entry with another number',
    (b, s) => add(b, s.entry('/dir/file') + 2),
  ],
  ['squashfsLinkCount', 'one link too many', (b, s) => b.writeUInt32LE(4, s.inode('/hard') + 40)],
  ['squashfsLinkCount', 'one link too few', (b, s) => b.writeUInt32LE(1, s.inode('/hard') + 40)],
  ['squashfsLinkCount', 'no link', (b, s) => b.writeUInt32LE(0, s.inode('/fifo') + 16)],
  ['squashfsLinkCount', 'links of a directory', (b, s) => b.writeUInt32LE(9, s.inode('/dir') + 20)],
  ['squashfsLinkCount', 'all links', (b, s) => b.writeUInt32LE(NONE, s.inode('/fifo') + 16)],
  ['squashfsSymlinkSize', '0', (b, s) => b.writeUInt32LE(0, s.inode('/link') + 20)],
  ['squashfsSymlinkSize', '4096', (b, s) => b.writeUInt32LE(4096, s.inode('/link') + 20)],
  ['squashfsSymlinkSize', 'all', (b, s) => b.writeUInt32LE(NONE, s.inode('/link') + 20)],
  ['squashfsSymlinkNul', 'in the middle', (b, s) => b.writeUInt8(0, s.inode('/link') + 25)],
];

/** Places in a basic file: start 16, fragment 20, offset 24, size 28, words 32. In a long one: size 24, sparse 32. */
const files: readonly Damage[] = [
  ['squashfsFileSize', 'negative', (b, s) => b.writeBigUInt64LE(1n << 63n, s.inode('/hard') + 24)],
  [
    'squashfsFileSize',
    'all',
    (b, s) => b.writeBigUInt64LE(0xffffffffffffffffn, s.inode('/hard') + 24),
  ],
  [
    'squashfsMetadataOutside',
    'more blocks than the table holds',
    (b, s) => b.writeUInt32LE((1 << 30) + 300, s.inode('/dir/file') + 28),
  ],
  [
    'squashfsBlockWord',
    'over the block size',
    (b, s) => b.writeUInt32LE(PLAIN | 4097, s.inode('/dir/file') + 32),
  ],
  [
    'squashfsBlockWord',
    'bit 25',
    (b, s) => b.writeUInt32LE((2 * PLAIN) | 4096, s.inode('/dir/file') + 32),
  ],
  [
    'squashfsBlockWord',
    'a hole that is not packed',
    (b, s) => b.writeUInt32LE(PLAIN, s.inode('/dir/file') + 32),
  ],
  [
    'squashfsBlockOutside',
    'in the superblock',
    (b, s) => b.writeUInt32LE(0, s.inode('/dir/file') + 16),
  ],
  [
    'squashfsBlockOutside',
    'behind the data',
    (b, s) => b.writeUInt32LE(s.place('inodeTable') - 5000, s.inode('/dir/file') + 16),
  ],
  [
    'squashfsBlockOutside',
    'over the end of the data',
    (b, s) => b.writeBigUInt64LE(BigInt(s.place('inodeTable') - 100), s.inode('/hard') + 16),
  ],
  [
    'squashfsBlockOutside',
    'far away',
    (b, s) => b.writeBigUInt64LE((1n << 63n) - 1n, s.inode('/hard') + 16),
  ],
  [
    'squashfsBlockUnreadable',
    'not packed, said to be',
    (b, s) => b.writeUInt32LE(4096, s.inode('/dir/file') + 32),
  ],
  [
    'squashfsBlockLength',
    'a byte short',
    (b, s) => b.writeUInt32LE(PLAIN | 4095, s.inode('/dir/file') + 32),
  ],
  [
    'squashfsSparseBytes',
    'over the size',
    (b, s) => b.writeBigUInt64LE(FAR, s.inode('/hole') + 32),
  ],
  [
    'squashfsSparseBytes',
    'holes in a file without',
    (b, s) => b.writeBigUInt64LE(1n, s.inode('/hard') + 32),
  ],
  [
    'squashfsFragmentIndex',
    'over the count',
    (b, s) => b.writeUInt32LE(b.readUInt32LE(S.fragments), s.inode('/dir/file') + 20),
  ],
  [
    'squashfsFragmentIndex',
    'nearly none',
    (b, s) => b.writeUInt32LE(NONE - 1, s.inode('/dir/file') + 20),
  ],
  [
    'squashfsFragmentRange',
    'past the fragment',
    (b, s) => b.writeUInt32LE(3900, s.inode('/dir/file') + 24),
  ],
  [
    'squashfsFragmentRange',
    'past the block',
    (b, s) => b.writeUInt32LE(4095, s.inode('/dir/file') + 24),
  ],
  ['squashfsFragmentRange', 'overflow', (b, s) => b.writeUInt32LE(NONE, s.inode('/dir/file') + 24)],
  [
    'squashfsFragmentNeedless',
    'whole blocks',
    (b, s) => b.writeUInt32LE(3 * SAMPLE_BLOCK_BYTES, s.inode('/dir/file') + 28),
  ],
  [
    'squashfsFragmentEntry',
    'size 0',
    (b, s) => b.writeUInt32LE(0, s.firstBlock('fragmentTable') + 8),
  ],
  [
    'squashfsFragmentEntry',
    'over the block size',
    (b, s) => b.writeUInt32LE(PLAIN | 4097, s.firstBlock('fragmentTable') + 8),
  ],
  [
    'squashfsFragmentEntry',
    'bit 30',
    (b, s) => b.writeUInt8(0x41, s.firstBlock('fragmentTable') + 11),
  ],
  [
    'squashfsFragmentEntry',
    'field that is not used',
    (b, s) => b.writeUInt32LE(1, s.firstBlock('fragmentTable') + 12),
  ],
  [
    'squashfsFragmentOutside',
    'in the superblock',
    (b, s) => b.writeBigUInt64LE(95n, s.firstBlock('fragmentTable')),
  ],
  [
    'squashfsFragmentOutside',
    'in the inode table',
    (b, s) => b.writeBigUInt64LE(BigInt(s.place('inodeTable') - 1), s.firstBlock('fragmentTable')),
  ],
  [
    'squashfsFragmentOutside',
    'overflow',
    (b, s) => b.writeBigUInt64LE(0xffffffffffffffffn, s.firstBlock('fragmentTable')),
  ],
  [
    'squashfsFragmentUnreadable',
    'not packed, said to be',
    (b, s) => b.writeUInt8(0, s.firstBlock('fragmentTable') + 11),
  ],
];

const directories: readonly Damage[] = [
  ['squashfsDirectorySize', '0', (b, s) => b.writeUInt16LE(0, s.inode('/dir') + 24)],
  ['squashfsDirectorySize', '2', (b, s) => b.writeUInt16LE(2, s.inode('/dir') + 24)],
  [
    'squashfsDirectoryStart',
    'far away',
    (b, s) => b.writeUInt32LE(0x7fffffff, s.inode('/dir') + 16),
  ],
  [
    'squashfsMetadataOffset',
    'listing past its block',
    (b, s) => b.writeUInt16LE(8191, s.inode('/dir') + 26),
  ],
  [
    'squashfsMetadataOffset',
    'listing past 8 KiB',
    (b, s) => b.writeUInt16LE(8192, s.inode('/dir') + 26),
  ],
  ['squashfsDirectoryHeader', '257 entries', (b, s) => b.writeUInt32LE(256, s.listing('/dir'))],
  ['squashfsDirectoryHeader', 'all entries', (b, s) => b.writeUInt32LE(NONE, s.listing('/dir'))],
  [
    'squashfsDirectoryHeader',
    'a cut header',
    (b, s) => b.writeUInt16LE(b.readUInt16LE(s.inode('/dir') + 24) + 5, s.inode('/dir') + 24),
  ],
  ['squashfsDirectoryCut', 'an entry too many', (b, s) => add(b, s.listing('/dir'))],
  [
    'squashfsDirectoryCut',
    'a name too long',
    (b, s) => b.writeUInt16LE(200, s.entry('/dir/file') + 6),
  ],
  ['squashfsNameLength', '256', (b, s) => b.writeUInt16LE(255, s.entry('/dir/file') + 6)],
  ['squashfsNameLength', '65536', (b, s) => b.writeUInt16LE(0xffff, s.entry('/dir/file') + 6)],
  ['squashfsNameForbidden', '.', (b, s) => b.write('.', s.entry('/x') + 8)],
  ['squashfsNameForbidden', '..', (b, s) => b.write('..', s.entry('/zz') + 8)],
  ['squashfsNameForbidden', '/', (b, s) => b.write('/', s.entry('/zz') + 9)],
  ['squashfsNameForbidden', 'NUL', (b, s) => b.write('\0', s.entry('/zz') + 9)],
  ['squashfsNameOrder', 'backwards', (b, s) => b.write('zzz', s.entry('/dir') + 8)],
  ['squashfsNameTwice', 'the same', (b, s) => b.write('fifo', s.entry('/hard') + 8)],
  ['squashfsEntryType', 'a link', (b, s) => b.writeUInt16LE(3, s.entry('/dir/file') + 4)],
  [
    'squashfsEntryType',
    'the extended type',
    (b, s) => b.writeUInt16LE(9, s.entry('/dir/file') + 4),
  ],
  [
    'squashfsDirectoryParent',
    'another',
    (b, s) => b.writeUInt32LE(s.number('/zz'), s.inode('/dir') + 28),
  ],
  ['squashfsDirectoryParent', 'none', (b, s) => b.writeUInt32LE(0, s.inode('/dir') + 28)],
  [
    'squashfsDirectoryUnlisted',
    'a listing that belongs to nobody',
    (b, s) => {
      b.writeUInt16LE(3, s.inode('/other') + 24);
      return b.writeUInt32LE(2, s.inode('/hard') + 40);
    },
  ],
  ['squashfsDirectoryLoop', 'the root in a directory', (b, s) => lead(b, s, '/dir/inner', '/')],
  ['squashfsLinkCount', 'a directory under two names', (b, s) => lead(b, s, '/zz', '/dir')],
  [
    'squashfsDirectoryLoop',
    'an island that contains itself',
    (b, s) => {
      // /dir leads to what was /dir/inner, and the old /dir is only in itself.
      lead(b, s, '/dir', '/dir/inner');
      lead(b, s, '/dir/inner', '/dir');
      b.writeUInt32LE(s.number('/'), s.inode('/dir/inner') + 28);
      return b.writeUInt32LE(s.number('/dir'), s.inode('/dir') + 28);
    },
  ],
];

/** Makes an entry lead to another inode of the same type. */
function lead(b: Buffer, s: Sample, entry: string, to: string): number {
  const at = s.entry(entry);
  const slash = entry.lastIndexOf('/');
  const base = b.readUInt32LE(s.listing(entry.slice(0, slash) || '/') + 8);
  b.writeUInt16LE(Number(s.reference(to) & 0xffffn), at);
  return b.writeInt16LE(s.number(to) - base, at + 2);
}

/** See the head of this file. */
export const INODE_DAMAGES: readonly Damage[] = [...inodes, ...files, ...directories];
