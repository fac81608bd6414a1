// Status of a call: every exported function that can be refused returns one. as-core/src/status.ts has the same table.

/** Done. */
export const STATUS_OK: i32 = 0;
/** The call does not fit the state of the stream: data after its end. */
export const STATUS_WRONG_STATE: i32 = 1;
/** The length is over the size of the input area. */
export const STATUS_INPUT_TOO_LONG: i32 = 2;
/** The stream is longer than the format can say. */
export const STATUS_STREAM_TOO_LONG: i32 = 3;
/** A number is outside the range that the call takes. */
export const STATUS_OUT_OF_RANGE: i32 = 4;

// From 20 on: the data is at fault, not the caller.

/** The image ends before its last block. */
export const STATUS_VERITY_IMAGE_TOO_SHORT: i32 = 20;

/** The frame ends in the middle. */
export const STATUS_ZSTD_TRUNCATED: i32 = 40;
/** No zstd frame begins here. */
export const STATUS_ZSTD_MAGIC: i32 = 41;
/** A skippable frame: it has no content. */
export const STATUS_ZSTD_SKIPPABLE: i32 = 42;
/** The reserved bit of the frame header is set. */
export const STATUS_ZSTD_RESERVED_BIT: i32 = 43;
/** The frame names a dictionary. */
export const STATUS_ZSTD_DICTIONARY: i32 = 44;
/** The header does not tell the size of the content. */
export const STATUS_ZSTD_NO_CONTENT_SIZE: i32 = 45;
/** The content is over the caller's limit. */
export const STATUS_ZSTD_CONTENT_TOO_LARGE: i32 = 46;
/** The window is over the caller's limit. */
export const STATUS_ZSTD_WINDOW_TOO_LARGE: i32 = 47;
/** A block has type 3. */
export const STATUS_ZSTD_RESERVED_BLOCK: i32 = 48;
/** A block is over 128 KiB, or over the window. */
export const STATUS_ZSTD_BLOCK_TOO_LARGE: i32 = 49;
/** The blocks cannot add up to the content size of the header, or did not. */
export const STATUS_ZSTD_SIZES_DIFFER: i32 = 50;
/** Bytes follow the frame. */
export const STATUS_ZSTD_TRAILING_BYTES: i32 = 51;
/** The frame is longer than its content can need. */
export const STATUS_ZSTD_FRAME_TOO_LONG: i32 = 52;
/** The decoder refused. */
export const STATUS_ZSTD_CORRUPT: i32 = 53;
/** The decoder wants more memory than it may have. */
export const STATUS_ZSTD_MEMORY: i32 = 54;
/** The decoder trapped, and was replaced. */
export const STATUS_ZSTD_TRAPPED: i32 = 55;

/** Bundle: the file ends before its parts do. */
export const STATUS_BUNDLE_TRUNCATED: i32 = 60;
/** Bundle: bytes belong to no part. */
export const STATUS_BUNDLE_TRAILING: i32 = 61;
/** Bundle: a part is larger than any may be. */
export const STATUS_BUNDLE_PART_TOO_LARGE: i32 = 62;
/** Bundle: no bundle: it does not begin with a SquashFS and does not end with a footer. */
export const STATUS_BUNDLE_MAGIC: i32 = 63;
/** Bundle: the footer has a wrong checksum, or fields that must be zero are not. */
export const STATUS_BUNDLE_FOOTER: i32 = 64;
/** Bundle: the version of the format is not known. */
export const STATUS_BUNDLE_VERSION: i32 = 65;
/** Bundle: parts overlap, leave gaps, are not aligned, or do not add up. */
export const STATUS_BUNDLE_PLACES: i32 = 66;
/** Bundle: the text is not canonical JSON. */
export const STATUS_BUNDLE_SYNTAX: i32 = 67;
/** Bundle: a key that this object does not have. */
export const STATUS_BUNDLE_KEY_UNKNOWN: i32 = 68;
/** Bundle: a key is missing, or comes later. */
export const STATUS_BUNDLE_KEY_MISSING: i32 = 69;
/** Bundle: a key comes a second time. */
export const STATUS_BUNDLE_KEY_TWICE: i32 = 70;
/** Bundle: a text has a length or letters that it may not have. */
export const STATUS_BUNDLE_TEXT: i32 = 71;
/** Bundle: a number is out of range or not in its shortest form. */
export const STATUS_BUNDLE_NUMBER: i32 = 72;
/** Bundle: the text names another format. */
export const STATUS_BUNDLE_FORMAT: i32 = 73;
/** Bundle: a list is not in ascending order, or has something twice. */
export const STATUS_BUNDLE_LIST_ORDER: i32 = 74;
/** Bundle: a list is too long. */
export const STATUS_BUNDLE_LIST_TOO_LONG: i32 = 75;
/** Bundle: more keys must sign than there are. */
export const STATUS_BUNDLE_THRESHOLD: i32 = 76;
/** Bundle: the id of a key is not the one that its bytes give. */
export const STATUS_BUNDLE_KEY_ID: i32 = 77;
/** Bundle: the reader stopped itself. */
export const STATUS_BUNDLE_TRAP: i32 = 79;

/** Delta: the file ends before its parts do. */
export const STATUS_DELTA_TRUNCATED: i32 = 80;
/** Delta: bytes belong to no part. */
export const STATUS_DELTA_TRAILING: i32 = 81;
/** Delta: there is no magic at the end. */
export const STATUS_DELTA_MAGIC: i32 = 82;
/** Delta: the footer has a wrong checksum, or fields that must be zero are not. */
export const STATUS_DELTA_FOOTER: i32 = 83;
/** Delta: the version of the format is not known. */
export const STATUS_DELTA_VERSION: i32 = 84;
/** Delta: parts overlap or leave gaps. */
export const STATUS_DELTA_PLACES: i32 = 85;
/** Delta: a part, a side or a limit is larger than any may be. */
export const STATUS_DELTA_TOO_LARGE: i32 = 86;
/** Delta: the facts of source or target do not fit each other. */
export const STATUS_DELTA_SIDES: i32 = 87;
/** Delta: a number of the plan is cut, too long or not in its shortest form. */
export const STATUS_DELTA_PLAN_NUMBER: i32 = 88;
/** Delta: a step of the plan has a kind that is not known. */
export const STATUS_DELTA_PLAN_KIND: i32 = 89;
/** Delta: the plan reads outside the source. */
export const STATUS_DELTA_PLAN_SOURCE: i32 = 90;
/** Delta: the plan writes outside the target, or not all of it. */
export const STATUS_DELTA_PLAN_TARGET: i32 = 91;
/** Delta: the plan uses more patched or literal bytes than there are, or fewer. */
export const STATUS_DELTA_PLAN_STREAMS: i32 = 92;
/** Delta: a step of the plan wants more memory than it may. */
export const STATUS_DELTA_PLAN_RUN: i32 = 93;
/** Delta: the image has blocks that overlap, or too many. */
export const STATUS_DELTA_PIECES: i32 = 94;
/** Delta: the encoder is another. */
export const STATUS_DELTA_ENCODER: i32 = 95;
/** Delta: the head of the patch has a number that is out of range. */
export const STATUS_DELTA_PATCH_HEAD: i32 = 96;
/** Delta: the patch ends before its bytes are made, or goes on behind them. */
export const STATUS_DELTA_PATCH_END: i32 = 97;
/** Delta: the patch makes other bytes than those that were encoded. */
export const STATUS_DELTA_PATCH_CONTENT: i32 = 98;
/** Delta: the reader stopped itself. */
export const STATUS_DELTA_TRAP: i32 = 99;

/** SquashFS: the image cannot be read there. */
export const STATUS_SQUASHFS_READ_FAILED: i32 = 100;
/** SquashFS: the image is shorter than its superblock says. */
export const STATUS_SQUASHFS_TRUNCATED: i32 = 101;
/** SquashFS: there is no SquashFS magic. */
export const STATUS_SQUASHFS_MAGIC: i32 = 102;
/** SquashFS: the version is not 4.0. */
export const STATUS_SQUASHFS_VERSION: i32 = 103;
/** SquashFS: the compression is not zstd. */
export const STATUS_SQUASHFS_COMPRESSION: i32 = 104;
/** SquashFS: the block size is not a power of two from 4 KiB to 1 MiB. */
export const STATUS_SQUASHFS_BLOCK_SIZE: i32 = 105;
/** SquashFS: the block log does not fit the block size. */
export const STATUS_SQUASHFS_BLOCK_LOG: i32 = 106;
/** SquashFS: a flag is set that format 4.0 does not have. */
export const STATUS_SQUASHFS_FLAGS: i32 = 107;
/** SquashFS: the number of inodes is 0 or over the limit. */
export const STATUS_SQUASHFS_INODE_COUNT: i32 = 108;
/** SquashFS: the number of fragments is over the limit. */
export const STATUS_SQUASHFS_FRAGMENT_COUNT: i32 = 109;
/** SquashFS: the number of ids is 0. */
export const STATUS_SQUASHFS_ID_COUNT: i32 = 110;
/** SquashFS: the image is said to be smaller than its superblock and tables. */
export const STATUS_SQUASHFS_BYTES_USED: i32 = 111;
/** SquashFS: a table starts outside the image. */
export const STATUS_SQUASHFS_TABLE_OUTSIDE: i32 = 112;
/** SquashFS: tables overlap or stand in the wrong order. */
export const STATUS_SQUASHFS_TABLE_ORDER: i32 = 113;
/** SquashFS: a pointer to a block of a table does not lead to that block. */
export const STATUS_SQUASHFS_TABLE_POINTER: i32 = 114;
/** SquashFS: bytes between tables belong to none. */
export const STATUS_SQUASHFS_TABLE_GAP: i32 = 115;
/** SquashFS: the padding behind the image is not zero. */
export const STATUS_SQUASHFS_PADDING: i32 = 116;
/** SquashFS: the options of the compressor cannot be. */
export const STATUS_SQUASHFS_COMPRESSOR_OPTIONS: i32 = 117;
/** SquashFS: the root is not a directory. */
export const STATUS_SQUASHFS_ROOT_INODE: i32 = 118;
/** SquashFS: the image needs more work than the limit allows. */
export const STATUS_SQUASHFS_TOO_MUCH_WORK: i32 = 119;
/** SquashFS: a metadata block or what is read from it runs past its table. */
export const STATUS_SQUASHFS_METADATA_OUTSIDE: i32 = 120;
/** SquashFS: a metadata block has length 0 or more than 8 KiB. */
export const STATUS_SQUASHFS_METADATA_LENGTH: i32 = 121;
/** SquashFS: a metadata block does not decode to at most 8 KiB. */
export const STATUS_SQUASHFS_METADATA_UNREADABLE: i32 = 122;
/** SquashFS: a metadata block in the middle of a table is not full. */
export const STATUS_SQUASHFS_METADATA_SHORT: i32 = 123;
/** SquashFS: an offset points past its metadata block. */
export const STATUS_SQUASHFS_METADATA_OFFSET: i32 = 124;
/** SquashFS: the type of an inode does not exist. */
export const STATUS_SQUASHFS_INODE_TYPE: i32 = 130;
/** SquashFS: the mode of an inode has bits over 07777. */
export const STATUS_SQUASHFS_INODE_MODE: i32 = 131;
/** SquashFS: an inode has an owner that the id table does not have. */
export const STATUS_SQUASHFS_INODE_ID: i32 = 132;
/** SquashFS: an inode has number 0 or one over the count. */
export const STATUS_SQUASHFS_INODE_NUMBER: i32 = 133;
/** SquashFS: two inodes have the same number. */
export const STATUS_SQUASHFS_INODE_NUMBER_TWICE: i32 = 134;
/** SquashFS: the inode table does not hold as many inodes as the superblock says. */
export const STATUS_SQUASHFS_INODE_COUNT_WRONG: i32 = 135;
/** SquashFS: an inode has attributes that the attribute table does not have. */
export const STATUS_SQUASHFS_INODE_XATTR: i32 = 136;
/** SquashFS: a reference does not lead to the inode with that number. */
export const STATUS_SQUASHFS_INODE_REFERENCE: i32 = 137;
/** SquashFS: the number of links is not the number of entries that lead to the inode. */
export const STATUS_SQUASHFS_LINK_COUNT: i32 = 138;
/** SquashFS: the size of a file is negative or cannot be. */
export const STATUS_SQUASHFS_FILE_SIZE: i32 = 139;
/** SquashFS: the size of a data block is over the block size or has unknown bits. */
export const STATUS_SQUASHFS_BLOCK_WORD: i32 = 141;
/** SquashFS: a data block lies outside the data area. */
export const STATUS_SQUASHFS_BLOCK_OUTSIDE: i32 = 142;
/** SquashFS: a data block does not decode. */
export const STATUS_SQUASHFS_BLOCK_UNREADABLE: i32 = 143;
/** SquashFS: a data block decodes to more than a block. */
export const STATUS_SQUASHFS_BLOCK_TOO_LONG: i32 = 144;
/** SquashFS: a data block does not decode to the length that its file needs. */
export const STATUS_SQUASHFS_BLOCK_LENGTH: i32 = 145;
/** SquashFS: a file is said to have more holes than it has. */
export const STATUS_SQUASHFS_SPARSE_BYTES: i32 = 146;
/** SquashFS: a file has a fragment that the fragment table does not have. */
export const STATUS_SQUASHFS_FRAGMENT_INDEX: i32 = 147;
/** SquashFS: the end of a file lies past the end of its fragment. */
export const STATUS_SQUASHFS_FRAGMENT_RANGE: i32 = 148;
/** SquashFS: a file without a tail has a fragment. */
export const STATUS_SQUASHFS_FRAGMENT_NEEDLESS: i32 = 149;
/** SquashFS: an entry of the fragment table has a size that cannot be or a field that is not zero. */
export const STATUS_SQUASHFS_FRAGMENT_ENTRY: i32 = 150;
/** SquashFS: a fragment lies outside the data area. */
export const STATUS_SQUASHFS_FRAGMENT_OUTSIDE: i32 = 151;
/** SquashFS: a fragment does not decode to at most a block. */
export const STATUS_SQUASHFS_FRAGMENT_UNREADABLE: i32 = 152;
/** SquashFS: the target of a symbolic link is empty or longer than 4095 bytes. */
export const STATUS_SQUASHFS_SYMLINK_SIZE: i32 = 153;
/** SquashFS: the target of a symbolic link holds a NUL. */
export const STATUS_SQUASHFS_SYMLINK_NUL: i32 = 154;
/** SquashFS: the size of a directory cannot be. */
export const STATUS_SQUASHFS_DIRECTORY_SIZE: i32 = 155;
/** SquashFS: the listing of a directory starts outside the directory table. */
export const STATUS_SQUASHFS_DIRECTORY_START: i32 = 156;
/** SquashFS: a directory header has more than 256 entries or is cut. */
export const STATUS_SQUASHFS_DIRECTORY_HEADER: i32 = 157;
/** SquashFS: an entry runs past the end of its directory. */
export const STATUS_SQUASHFS_DIRECTORY_CUT: i32 = 158;
/** SquashFS: a name is longer than 255 bytes. */
export const STATUS_SQUASHFS_NAME_LENGTH: i32 = 159;
/** SquashFS: a name is `.` or `..` or holds `/` or NUL. */
export const STATUS_SQUASHFS_NAME_FORBIDDEN: i32 = 160;
/** SquashFS: the entries of a directory are not sorted. */
export const STATUS_SQUASHFS_NAME_ORDER: i32 = 161;
/** SquashFS: a name stands twice in a directory. */
export const STATUS_SQUASHFS_NAME_TWICE: i32 = 162;
/** SquashFS: an entry has another type than its inode. */
export const STATUS_SQUASHFS_ENTRY_TYPE: i32 = 163;
/** SquashFS: a directory names a parent that it does not lie in. */
export const STATUS_SQUASHFS_DIRECTORY_PARENT: i32 = 164;
/** SquashFS: directories contain each other. */
export const STATUS_SQUASHFS_DIRECTORY_LOOP: i32 = 165;
/** SquashFS: directories are nested deeper than the limit. */
export const STATUS_SQUASHFS_DIRECTORY_TOO_DEEP: i32 = 166;
/** SquashFS: the index of a directory does not fit its listing. */
export const STATUS_SQUASHFS_DIRECTORY_INDEX: i32 = 167;
/** SquashFS: bytes of the directory table belong to no directory. */
export const STATUS_SQUASHFS_DIRECTORY_UNLISTED: i32 = 168;
/** SquashFS: the export table names another place than the inode's. */
export const STATUS_SQUASHFS_EXPORT_ENTRY: i32 = 170;
/** SquashFS: the number of attributes or lists cannot be. */
export const STATUS_SQUASHFS_XATTR_COUNT: i32 = 171;
/** SquashFS: the header of the attribute table cannot be. */
export const STATUS_SQUASHFS_XATTR_TABLE: i32 = 172;
/** SquashFS: a reference to attributes leads outside their table. */
export const STATUS_SQUASHFS_XATTR_REFERENCE: i32 = 173;
/** SquashFS: an attribute has an unknown prefix. */
export const STATUS_SQUASHFS_XATTR_TYPE: i32 = 174;
/** SquashFS: the name of an attribute is empty, too long or holds a NUL. */
export const STATUS_SQUASHFS_XATTR_NAME: i32 = 175;
/** SquashFS: the value of an attribute is longer than 64 KiB or badly referred to. */
export const STATUS_SQUASHFS_XATTR_VALUE: i32 = 176;
/** SquashFS: a list of attributes does not have the size that its entry says. */
export const STATUS_SQUASHFS_XATTR_SIZE: i32 = 177;
/** SquashFS: the reader stopped itself. */
export const STATUS_SQUASHFS_TRAP: i32 = 199;
