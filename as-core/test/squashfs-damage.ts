/** Every way in which the verifier refuses an image: one row for each, a name and what is done to a valid sample. */

import { INODE_DAMAGES } from './squashfs-damage-inodes.ts';
import { add, type Damage, FAR, NONE } from './squashfs-damage-row.ts';
import { SUPERBLOCK as S, type Sample } from './squashfs-sample.ts';

const superblock: readonly Damage[] = [
  ['squashfsTruncated', 'a byte short', (b, s) => b.subarray(0, s.place('bytesUsed') - 1)],
  ['squashfsTruncated', 'nothing', (b) => b.subarray(0, 0)],
  ['squashfsTruncated', 'half a superblock', (b) => b.subarray(0, 48)],
  ['squashfsMagic', 'magic', (b) => b.writeUInt8(0, 0)],
  ['squashfsVersion', 'version 3.0', (b) => b.writeUInt16LE(3, S.version)],
  ['squashfsVersion', 'version 4.1', (b) => b.writeUInt16LE(1, S.version + 2)],
  ['squashfsCompression', 'gzip', (b) => b.writeUInt16LE(1, S.compression)],
  ['squashfsBlockSize', '5000', (b) => b.writeUInt32LE(5000, S.blockBytes)],
  ['squashfsBlockSize', '0', (b) => b.writeUInt32LE(0, S.blockBytes)],
  ['squashfsBlockSize', '2 KiB', (b) => b.writeUInt32LE(2048, S.blockBytes)],
  ['squashfsBlockSize', '2 MiB', (b) => b.writeUInt32LE(1 << 21, S.blockBytes)],
  ['squashfsBlockLog', 'another log', (b) => b.writeUInt16LE(13, S.blockLog)],
  ['squashfsBlockLog', 'log 44, which shifts to the same', (b) => b.writeUInt16LE(44, S.blockLog)],
  ['squashfsBlockLog', 'log 65535', (b) => b.writeUInt16LE(0xffff, S.blockLog)],
  ['squashfsFlags', 'bit 2', (b) => b.writeUInt16LE(4, S.flags)],
  ['squashfsFlags', 'bit 15', (b) => b.writeUInt16LE(0x8000, S.flags)],
  ['squashfsInodeCount', 'none', (b) => b.writeUInt32LE(0, S.inodes)],
  ['squashfsInodeCount', 'all', (b) => b.writeUInt32LE(NONE, S.inodes)],
  ['squashfsFragmentCount', 'all', (b) => b.writeUInt32LE(NONE, S.fragments)],
  ['squashfsFragmentCount', 'overflow of 32 bits', (b) => b.writeUInt32LE(1 << 28, S.fragments)],
  ['squashfsIdCount', 'none', (b) => b.writeUInt16LE(0, S.ids)],
  ['squashfsBytesUsed', '0', (b) => b.writeBigUInt64LE(0n, S.bytesUsed)],
  ['squashfsBytesUsed', '96', (b) => b.writeBigUInt64LE(96n, S.bytesUsed)],
  ['squashfsTruncated', 'bytes used', (b) => b.writeBigUInt64LE(FAR, S.bytesUsed)],
];

const tables: readonly Damage[] = [
  ...(
    [
      'idTable',
      'xattrTable',
      'inodeTable',
      'directoryTable',
      'fragmentTable',
      'exportTable',
    ] as const
  ).flatMap((field): Damage[] => [
    ['squashfsTableOutside', `${field} far away`, (b) => b.writeBigUInt64LE(FAR, S[field])],
    ['squashfsTableOutside', `${field} in the superblock`, (b) => b.writeBigUInt64LE(8n, S[field])],
    [
      'squashfsTableOutside',
      `${field} at the end`,
      (b, s) => b.writeBigUInt64LE(BigInt(s.place('bytesUsed')), S[field]),
    ],
  ]),
  [
    'squashfsTableOrder',
    'inodes and directories',
    (b, s) => move(b, s, 'directoryTable', 'inodeTable'),
  ],
  [
    'squashfsTableOrder',
    'fragments at directories',
    (b, s) => move(b, s, 'fragmentTable', 'directoryTable'),
  ],
  [
    'squashfsTableOrder',
    'export at fragments',
    (b, s) => move(b, s, 'exportTable', 'fragmentTable'),
  ],
  ['squashfsTableOrder', 'ids at export', (b, s) => move(b, s, 'idTable', 'exportTable')],
  ['squashfsTableOrder', 'attributes at ids', (b, s) => move(b, s, 'xattrTable', 'idTable')],
  ['squashfsTablePointer', 'ids', (b, s) => b.writeBigUInt64LE(0n, s.place('idTable'))],
  ['squashfsTablePointer', 'ids, behind', (b, s) => b.writeBigUInt64LE(FAR, s.place('idTable'))],
  ['squashfsTablePointer', 'fragments', (b, s) => b.writeBigUInt64LE(0n, s.place('fragmentTable'))],
  [
    'squashfsTablePointer',
    'export',
    (b, s) => b.writeBigUInt64LE(1n << 63n, s.place('exportTable')),
  ],
  [
    'squashfsTableGap',
    'a byte behind the last table',
    (b, s) => b.writeBigUInt64LE(BigInt(s.place('bytesUsed') + 1), S.bytesUsed),
  ],
  ['squashfsPadding', 'last byte', (b) => b.writeUInt8(1, b.length - 1)],
  ['squashfsPadding', 'first byte', (b, s) => b.writeUInt8(1, s.place('bytesUsed'))],
  ['squashfsMetadataOutside', 'inodes', (b, s) => longer(b, s.place('inodeTable'))],
  ['squashfsMetadataOutside', 'directories', (b, s) => longer(b, s.place('directoryTable'))],
  ['squashfsMetadataLength', '0', (b, s) => b.writeUInt16LE(0x8000, s.place('inodeTable'))],
  ['squashfsMetadataLength', '0, packed', (b, s) => b.writeUInt16LE(0, s.place('directoryTable'))],
  ['squashfsMetadataLength', '8193', (b, s) => b.writeUInt16LE(0xa001, s.place('inodeTable'))],
  [
    'squashfsMetadataUnreadable',
    'inodes',
    (b, s) =>
      b.writeUInt8(b.readUInt8(s.place('inodeTable') + 1) & 0x7f, s.place('inodeTable') + 1),
  ],
  [
    'squashfsMetadataShort',
    'an id too many',
    (b) => b.writeUInt16LE(b.readUInt16LE(S.ids) + 1, S.ids),
  ],
  ['squashfsExportEntry', 'first', (b, s) => add(b, s.firstBlock('exportTable'))],
  ['squashfsExportEntry', 'second', (b, s) => b.writeUInt8(9, s.firstBlock('exportTable') + 14)],
];

function move(b: Buffer, s: Sample, field: keyof typeof S, to: keyof typeof S): number {
  return b.writeBigUInt64LE(BigInt(s.place(to)), S[field]);
}

function longer(b: Buffer, header: number): number {
  return b.writeUInt16LE(b.readUInt16LE(header) + 100, header);
}

const attributes: readonly Damage[] = [
  ['squashfsXattrCount', 'no list', (b, s) => b.writeUInt32LE(0, s.place('xattrTable') + 8)],
  ['squashfsXattrCount', 'all lists', (b, s) => b.writeUInt32LE(NONE, s.place('xattrTable') + 8)],
  [
    'squashfsXattrCount',
    'overflow of 32 bits',
    (b, s) => b.writeUInt32LE(1 << 28, s.place('xattrTable') + 8),
  ],
  ['squashfsXattrCount', 'an empty list', (b, s) => b.writeUInt32LE(0, s.xattrIds() + 8)],
  [
    'squashfsXattrTable',
    'field that is not used',
    (b, s) => b.writeUInt32LE(1, s.place('xattrTable') + 12),
  ],
  [
    'squashfsXattrTable',
    'lists in the superblock',
    (b, s) => b.writeBigUInt64LE(0n, s.place('xattrTable')),
  ],
  [
    'squashfsXattrTable',
    'lists behind their ids',
    (b, s) => b.writeBigUInt64LE(BigInt(s.xattrIds() + 20), s.place('xattrTable')),
  ],
  [
    'squashfsTableGap',
    'lists begin later',
    (b, s) => b.writeBigUInt64LE(BigInt(s.xattrLists() - 1), s.place('xattrTable')),
  ],
  ['squashfsXattrReference', 'far away', (b, s) => b.writeBigUInt64LE(FAR << 16n, s.xattrIds())],
  ['squashfsXattrReference', 'past 8 KiB', (b, s) => b.writeBigUInt64LE(0x2000n, s.xattrIds())],
  ['squashfsMetadataOffset', 'past its block', (b, s) => b.writeBigUInt64LE(0x1fffn, s.xattrIds())],
  [
    'squashfsXattrCount',
    'more attributes than a file can have',
    (b, s) => b.writeUInt32LE(NONE, s.xattrIds() + 8),
  ],
  ['squashfsXattrType', '3', (b, s) => b.writeUInt16LE(3, s.xattrLists())],
  ['squashfsXattrType', 'bit 9', (b, s) => b.writeUInt16LE(0x200, s.xattrLists())],
  ['squashfsXattrName', 'empty', (b, s) => b.writeUInt16LE(0, s.xattrLists() + 2)],
  ['squashfsXattrName', 'too long', (b, s) => b.writeUInt16LE(251, s.xattrLists() + 2)],
  ['squashfsXattrName', 'NUL', (b, s) => b.writeUInt8(0, s.xattrLists() + 4)],
  [
    'squashfsXattrValue',
    'too long',
    (b, s) => b.writeUInt32LE(65_537, s.xattrLists() + 4 + b.readUInt16LE(s.xattrLists() + 2)),
  ],
  [
    'squashfsXattrValue',
    'elsewhere, without a reference',
    (b, s) => b.writeUInt16LE(0x100, s.xattrLists()),
  ],
  [
    'squashfsMetadataOutside',
    'more attributes than there are',
    (b, s) => b.writeUInt32LE(99, s.xattrIds() + 8),
  ],
  ['squashfsXattrSize', 'another', (b, s) => add(b, s.xattrIds() + 12)],
];

/** All of them, for the sample of squashfs-hostile.test.ts. */
export const DAMAGES: readonly Damage[] = [
  ...superblock,
  ...tables,
  ...INODE_DAMAGES,
  ...attributes,
];
