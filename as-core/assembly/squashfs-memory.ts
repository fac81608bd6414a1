// Where everything lies in the memory of the SquashFS reader. All of it is static: 14.2 MiB, whatever the image says.
//
//   raw          1 MiB     a data block as it is on the disk
//   content      1 MiB     the same, decoded
//   fragment     1 MiB     the fragment block that was decoded last
//   cache        512 KiB   64 decoded metadata blocks, and 1 KiB of what is known of each
//   ids          256 KiB   the id table
//   references   6 MiB     verify: where the inode with a number begins, and its type
//   links        2 MiB     verify: entries that must still lead to it
//   fragments    2 MiB     verify: decoded length of each fragment block
//   small areas            superblock, inode, directory cursor, names, link target, attribute

/** Largest data block of the format. */
export const BLOCK_BYTES_MAX: u32 = 1 << 20;
/** Size of a decoded metadata block. */
export const METADATA_BYTES: u32 = 8192;
/** Most inodes of an image. */
export const INODES_MAX: u32 = 1 << 20;
/** Most fragment blocks of an image. */
export const FRAGMENTS_MAX: u32 = 1 << 19;
/** Metadata blocks that are kept; a power of two. */
export const CACHE_SLOTS: u32 = 64;
/** What is known of a kept metadata block: position u64, next position u64. */
export const SLOT_BYTES: u32 = 16;
/** Longest target of a symbolic link: the kernel keeps it in one page, with a NUL. */
export const TARGET_BYTES_MAX: u32 = 4095;
/** Longest name that Linux takes. */
export const NAME_BYTES_MAX: u32 = 255;
/** Longest value of an attribute (XATTR_SIZE_MAX). */
export const VALUE_BYTES_MAX: u32 = 65536;
/** "Not there" in a 32-bit field. */
export const NONE: u32 = 0xffffffff;
/** "Not there" in the place of a table. */
export const NO_TABLE: u64 = 0xffffffffffffffff;

const BASE: usize = (__heap_base + 63) & ~63;

export const RAW_AT: usize = BASE;
export const CONTENT_AT: usize = RAW_AT + BLOCK_BYTES_MAX;
export const FRAGMENT_AT: usize = CONTENT_AT + BLOCK_BYTES_MAX;
export const CACHE_AT: usize = FRAGMENT_AT + BLOCK_BYTES_MAX;
export const SLOTS_AT: usize = CACHE_AT + CACHE_SLOTS * METADATA_BYTES;
export const IDS_AT: usize = SLOTS_AT + CACHE_SLOTS * SLOT_BYTES;
/** u32 for each inode: its metadata block, from the start of the inode table. */
export const REFERENCE_BLOCKS_AT: usize = IDS_AT + 65536 * 4;
/** u16 for each inode: bits 0-12 offset in the block, bits 13-15 type; 0 before the inode was seen. */
export const REFERENCE_OFFSETS_AT: usize = REFERENCE_BLOCKS_AT + INODES_MAX * 4;
/** u16 for each inode. */
export const LINKS_AT: usize = REFERENCE_OFFSETS_AT + INODES_MAX * 2;
/** u32 for each fragment block. */
export const FRAGMENT_LENGTHS_AT: usize = LINKS_AT + INODES_MAX * 2;
/** A metadata block as it is on the disk, with its header. */
export const METADATA_RAW_AT: usize = FRAGMENT_LENGTHS_AT + FRAGMENTS_MAX * 4;
export const SUPERBLOCK_AT: usize = METADATA_RAW_AT + METADATA_BYTES + 64;
/** Small fields while they are read. */
export const SCRATCH_AT: usize = SUPERBLOCK_AT + 128;
/** The inode that the caller asked for, and one for the directories that lead to it. */
export const INODE_AT: usize = SCRATCH_AT + 128;
export const OTHER_INODE_AT: usize = INODE_AT + 192;
export const LISTING_AT: usize = OTHER_INODE_AT + 192;
export const TARGET_AT: usize = LISTING_AT + 768;
export const ATTRIBUTE_NAME_AT: usize = TARGET_AT + 4096;
export const ATTRIBUTE_VALUE_AT: usize = ATTRIBUTE_NAME_AT + 256;
/** 4 KiB for what is compared or skipped. */
export const WINDOW_AT: usize = ATTRIBUTE_VALUE_AT + VALUE_BYTES_MAX;
export const WINDOW_BYTES: u32 = 4096;
export const MEMORY_END: usize = WINDOW_AT + WINDOW_BYTES;
