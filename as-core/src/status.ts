/**
 * What a WebAssembly call answers: the same table as as-core/assembly/status.ts.
 *
 * Below {@link BAD_INPUT_MIN} are mistakes of the caller, from there on faults of the data: 20-39 verity, 40-59 zstd,
 * 100-199 SquashFS.
 */

/** Name to number. */
export const Status = {
  ok: 0,
  wrongState: 1,
  inputTooLong: 2,
  streamTooLong: 3,
  outOfRange: 4,
  verityImageTooShort: 20,
  zstdTruncated: 40,
  zstdMagic: 41,
  zstdSkippable: 42,
  zstdReservedBit: 43,
  zstdDictionary: 44,
  zstdNoContentSize: 45,
  zstdContentTooLarge: 46,
  zstdWindowTooLarge: 47,
  zstdReservedBlock: 48,
  zstdBlockTooLarge: 49,
  zstdSizesDiffer: 50,
  zstdTrailingBytes: 51,
  zstdFrameTooLong: 52,
  zstdCorrupt: 53,
  zstdMemory: 54,
  zstdTrapped: 55,
  squashfsReadFailed: 100,
  squashfsTruncated: 101,
  squashfsMagic: 102,
  squashfsVersion: 103,
  squashfsCompression: 104,
  squashfsBlockSize: 105,
  squashfsBlockLog: 106,
  squashfsFlags: 107,
  squashfsInodeCount: 108,
  squashfsFragmentCount: 109,
  squashfsIdCount: 110,
  squashfsBytesUsed: 111,
  squashfsTableOutside: 112,
  squashfsTableOrder: 113,
  squashfsTablePointer: 114,
  squashfsTableGap: 115,
  squashfsPadding: 116,
  squashfsCompressorOptions: 117,
  squashfsRootInode: 118,
  squashfsTooMuchWork: 119,
  squashfsMetadataOutside: 120,
  squashfsMetadataLength: 121,
  squashfsMetadataUnreadable: 122,
  squashfsMetadataShort: 123,
  squashfsMetadataOffset: 124,
  squashfsInodeType: 130,
  squashfsInodeMode: 131,
  squashfsInodeId: 132,
  squashfsInodeNumber: 133,
  squashfsInodeNumberTwice: 134,
  squashfsInodeCountWrong: 135,
  squashfsInodeXattr: 136,
  squashfsInodeReference: 137,
  squashfsLinkCount: 138,
  squashfsFileSize: 139,
  squashfsBlockWord: 141,
  squashfsBlockOutside: 142,
  squashfsBlockUnreadable: 143,
  squashfsBlockTooLong: 144,
  squashfsBlockLength: 145,
  squashfsSparseBytes: 146,
  squashfsFragmentIndex: 147,
  squashfsFragmentRange: 148,
  squashfsFragmentNeedless: 149,
  squashfsFragmentEntry: 150,
  squashfsFragmentOutside: 151,
  squashfsFragmentUnreadable: 152,
  squashfsSymlinkSize: 153,
  squashfsSymlinkNul: 154,
  squashfsDirectorySize: 155,
  squashfsDirectoryStart: 156,
  squashfsDirectoryHeader: 157,
  squashfsDirectoryCut: 158,
  squashfsNameLength: 159,
  squashfsNameForbidden: 160,
  squashfsNameOrder: 161,
  squashfsNameTwice: 162,
  squashfsEntryType: 163,
  squashfsDirectoryParent: 164,
  squashfsDirectoryLoop: 165,
  squashfsDirectoryTooDeep: 166,
  squashfsDirectoryIndex: 167,
  squashfsDirectoryUnlisted: 168,
  squashfsExportEntry: 170,
  squashfsXattrCount: 171,
  squashfsXattrTable: 172,
  squashfsXattrReference: 173,
  squashfsXattrType: 174,
  squashfsXattrName: 175,
  squashfsXattrValue: 176,
  squashfsXattrSize: 177,
  squashfsTrap: 199,
} as const;

/** The first status that speaks about the data and not about the caller. */
export const BAD_INPUT_MIN = 20;

const MESSAGES: Readonly<Record<number, string>> = {
  [Status.wrongState]: 'the stream has ended',
  [Status.inputTooLong]: 'the piece is larger than the input area',
  [Status.streamTooLong]: 'the stream is longer than the format can say',
  [Status.outOfRange]: 'a number is outside its range',
  [Status.verityImageTooShort]: 'the image ends before its last block',
  [Status.zstdTruncated]: 'the zstd frame ends in the middle',
  [Status.zstdMagic]: 'no zstd frame begins here',
  [Status.zstdSkippable]: 'a skippable zstd frame has no content',
  [Status.zstdReservedBit]: 'a reserved bit of the zstd frame header is set',
  [Status.zstdDictionary]: 'the zstd frame wants a dictionary',
  [Status.zstdNoContentSize]: 'the zstd frame does not say how long its content is',
  [Status.zstdContentTooLarge]: 'the content of the zstd frame is over the limit',
  [Status.zstdWindowTooLarge]: 'the window of the zstd frame is over the limit',
  [Status.zstdReservedBlock]: 'a zstd block has the reserved type',
  [Status.zstdBlockTooLarge]: 'a zstd block is larger than the format allows',
  [Status.zstdSizesDiffer]: 'the zstd blocks do not add up to the content size',
  [Status.zstdTrailingBytes]: 'bytes follow the zstd frame',
  [Status.zstdFrameTooLong]: 'the zstd frame is longer than its content can need',
  [Status.zstdCorrupt]: 'the zstd decoder refuses a block',
  [Status.zstdMemory]: 'zstd wants more memory than it may have',
  [Status.zstdTrapped]: 'the zstd decoder broke down and was replaced',
  [Status.squashfsReadFailed]: 'the image cannot be read there',
  [Status.squashfsTruncated]: 'the image is shorter than its superblock says',
  [Status.squashfsMagic]: 'there is no SquashFS magic',
  [Status.squashfsVersion]: 'the version is not 4.0',
  [Status.squashfsCompression]: 'the compression is not zstd',
  [Status.squashfsBlockSize]: 'the block size is not a power of two from 4 KiB to 1 MiB',
  [Status.squashfsBlockLog]: 'the block log does not fit the block size',
  [Status.squashfsFlags]: 'a flag is set that format 4.0 does not have',
  [Status.squashfsInodeCount]: 'the number of inodes is 0 or over the limit',
  [Status.squashfsFragmentCount]: 'the number of fragments is over the limit',
  [Status.squashfsIdCount]: 'the number of ids is 0',
  [Status.squashfsBytesUsed]: 'the image is said to be smaller than its superblock and tables',
  [Status.squashfsTableOutside]: 'a table starts outside the image',
  [Status.squashfsTableOrder]: 'tables overlap or stand in the wrong order',
  [Status.squashfsTablePointer]: 'a pointer to a block of a table does not lead to that block',
  [Status.squashfsTableGap]: 'bytes between tables belong to none',
  [Status.squashfsPadding]: 'the padding behind the image is not zero',
  [Status.squashfsCompressorOptions]: 'the options of the compressor cannot be',
  [Status.squashfsRootInode]: 'the root is not a directory',
  [Status.squashfsTooMuchWork]: 'the image needs more work than the limit allows',
  [Status.squashfsMetadataOutside]: 'a metadata block or what is read from it runs past its table',
  [Status.squashfsMetadataLength]: 'a metadata block has length 0 or more than 8 KiB',
  [Status.squashfsMetadataUnreadable]: 'a metadata block does not decode to at most 8 KiB',
  [Status.squashfsMetadataShort]: 'a metadata block in the middle of a table is not full',
  [Status.squashfsMetadataOffset]: 'an offset points past its metadata block',
  [Status.squashfsInodeType]: 'the type of an inode does not exist',
  [Status.squashfsInodeMode]: 'the mode of an inode has bits over 07777',
  [Status.squashfsInodeId]: 'an inode has an owner that the id table does not have',
  [Status.squashfsInodeNumber]: 'an inode has number 0 or one over the count',
  [Status.squashfsInodeNumberTwice]: 'two inodes have the same number',
  [Status.squashfsInodeCountWrong]:
    'the inode table does not hold as many inodes as the superblock says',
  [Status.squashfsInodeXattr]: 'an inode has attributes that the attribute table does not have',
  [Status.squashfsInodeReference]: 'a reference does not lead to the inode with that number',
  [Status.squashfsLinkCount]:
    'the number of links is not the number of entries that lead to the inode',
  [Status.squashfsFileSize]: 'the size of a file is negative or cannot be',
  [Status.squashfsBlockWord]: 'the size of a data block is over the block size or has unknown bits',
  [Status.squashfsBlockOutside]: 'a data block lies outside the data area',
  [Status.squashfsBlockUnreadable]: 'a data block does not decode',
  [Status.squashfsBlockTooLong]: 'a data block decodes to more than a block',
  [Status.squashfsBlockLength]: 'a data block does not decode to the length that its file needs',
  [Status.squashfsSparseBytes]: 'a file is said to have more holes than it has',
  [Status.squashfsFragmentIndex]: 'a file has a fragment that the fragment table does not have',
  [Status.squashfsFragmentRange]: 'the end of a file lies past the end of its fragment',
  [Status.squashfsFragmentNeedless]: 'a file without a tail has a fragment',
  [Status.squashfsFragmentEntry]:
    'an entry of the fragment table has a size that cannot be or a field that is not zero',
  [Status.squashfsFragmentOutside]: 'a fragment lies outside the data area',
  [Status.squashfsFragmentUnreadable]: 'a fragment does not decode to at most a block',
  [Status.squashfsSymlinkSize]: 'the target of a symbolic link is empty or longer than 4095 bytes',
  [Status.squashfsSymlinkNul]: 'the target of a symbolic link holds a NUL',
  [Status.squashfsDirectorySize]: 'the size of a directory cannot be',
  [Status.squashfsDirectoryStart]: 'the listing of a directory starts outside the directory table',
  [Status.squashfsDirectoryHeader]: 'a directory header has more than 256 entries or is cut',
  [Status.squashfsDirectoryCut]: 'an entry runs past the end of its directory',
  [Status.squashfsNameLength]: 'a name is longer than 255 bytes',
  [Status.squashfsNameForbidden]: 'a name is `.` or `..` or holds `/` or NUL',
  [Status.squashfsNameOrder]: 'the entries of a directory are not sorted',
  [Status.squashfsNameTwice]: 'a name stands twice in a directory',
  [Status.squashfsEntryType]: 'an entry has another type than its inode',
  [Status.squashfsDirectoryParent]: 'a directory names a parent that it does not lie in',
  [Status.squashfsDirectoryLoop]: 'directories contain each other',
  [Status.squashfsDirectoryTooDeep]: 'directories are nested deeper than the limit',
  [Status.squashfsDirectoryIndex]: 'the index of a directory does not fit its listing',
  [Status.squashfsDirectoryUnlisted]: 'bytes of the directory table belong to no directory',
  [Status.squashfsExportEntry]: 'the export table names another place than that of the inode',
  [Status.squashfsXattrCount]: 'the number of attributes or lists cannot be',
  [Status.squashfsXattrTable]: 'the header of the attribute table cannot be',
  [Status.squashfsXattrReference]: 'a reference to attributes leads outside their table',
  [Status.squashfsXattrType]: 'an attribute has an unknown prefix',
  [Status.squashfsXattrName]: 'the name of an attribute is empty, too long or holds a NUL',
  [Status.squashfsXattrValue]:
    'the value of an attribute is longer than 64 KiB or badly referred to',
  [Status.squashfsXattrSize]: 'a list of attributes does not have the size that its entry says',
  [Status.squashfsTrap]: 'the reader stopped itself',
};

/** Data that must be refused. `code` is the name of the status in kebab case, for example "verity-image-too-short". */
export class CoreError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'CoreError';
    this.status = status;
    this.code = codeOf(status);
  }
}

function codeOf(status: number): string {
  const [name] = Object.entries(Status).find(([, number]) => number === status) ?? [];
  if (name === undefined) return `status-${status}`;
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Nothing for `Status.ok`.
 *
 * @param action what could not be done, for the message: "Cannot <action>: <reason>"
 * @throws CoreError when the data is at fault
 * @throws RangeError when the caller broke a rule of the module
 */
export function expectOk(status: number, action: string): void {
  if (status === Status.ok) return;
  const message = `Cannot ${action}: ${MESSAGES[status] ?? `status ${status}`}`;
  throw status >= BAD_INPUT_MIN ? new CoreError(status, message) : new RangeError(message);
}
