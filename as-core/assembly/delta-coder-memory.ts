// Where everything lies in the memory of the patch coder. All of it is static: 25 MiB, whatever the stream says.
//
//   new          64 KiB    the piece of new bytes that is being coded, and what comes before and after it
//   stream       128 KiB   coded bytes, on their way in or out
//   old          16 KiB    a window of the old bytes
//   copies       3 MiB     the copy list: place in new, length, place in old
//   spans        1 MiB     which new bytes are made
//   segments     4 MiB     the map of old places to new ones, painted from the copy list; while it is painted: +2 MiB
//   regions      128 KiB   where the program headers of ELF files put pieces of old and new
//   bases        64 KiB    starts of sections that offsets count from
//   targets      6 MiB     where references went that were seen already
//   slots        8 MiB     what contexts have seen, hashed
//   flags        1 MiB     the same, of flags

/** New bytes that are coded in one go. */
export const PIECE_BYTES: u32 = 65536;
/** A chunk may reach this far beyond a piece. */
export const BEYOND_BYTES: u32 = 2048;
/** Room for coded bytes. */
export const STREAM_BYTES: u32 = 131072;
/** Most coded bytes that one step of the coder takes or makes. */
export const STEP_BYTES: u32 = 2048;
/** Window of the old bytes, without its margins. */
export const WINDOW_BYTES: u32 = 16384;
/** Margin of the window on either side. */
export const MARGIN_BYTES: u32 = 32;
/** Most copies of one patch. */
export const COPIES_MAX: u32 = 1 << 18;
/** Most spans. */
export const SPANS_MAX: u32 = 1 << 17;
/** Most regions of one side. */
export const REGIONS_MAX: u32 = 2048;
/** Most bases. */
export const BASES_MAX: u32 = 2048;
/** Bases of one pair of files that can be chosen from. */
export const BASES_OF_PAIR_MAX: u32 = 16;
/** Places in the table of targets: a power of two. */
export const TARGETS: u32 = 1 << 19;
/** Slots of hashed contexts: a power of two. */
export const SLOTS: u32 = 1 << 20;
/** Slots of flags: a power of two. */
export const FLAGS: u32 = 1 << 18;

/** Bytes of a copy: newOffset u32, length u32, oldOffset u32. */
export const COPY_BYTES: u32 = 12;
/** Bytes of a span: newOffset u32, length u32. */
export const SPAN_BYTES: u32 = 8;
/** Bytes of a segment: old place u32, distance to the new place u32. */
export const SEGMENT_BYTES: u32 = 8;
/** Bytes of a region: address u64, bytes in memory u64, place u32, bytes in the file u32, file u32, unused. */
export const REGION_BYTES: u32 = 32;
/** Bytes of a base: old address u64, new address u64, old file u32, new file u32, kind u32, extra u32. */
export const BASE_BYTES: u32 = 32;
/** Bytes of a target: key u32, distance u32, trust u32. */
export const TARGET_BYTES: u32 = 12;

const START: usize = (__heap_base + 63) & ~63;

export const NEW_AT: usize = START + 64;
export const STREAM_AT: usize = NEW_AT + PIECE_BYTES + BEYOND_BYTES;
export const WINDOW_AT: usize = STREAM_AT + STREAM_BYTES + MARGIN_BYTES;
export const COPIES_AT: usize = WINDOW_AT + WINDOW_BYTES + 4 * MARGIN_BYTES;
export const SPANS_AT: usize = COPIES_AT + COPIES_MAX * COPY_BYTES;
export const SEGMENTS_AT: usize = SPANS_AT + SPANS_MAX * SPAN_BYTES;
export const ORDER_AT: usize = SEGMENTS_AT + 2 * COPIES_MAX * SEGMENT_BYTES;
export const HEAP_AT: usize = ORDER_AT + COPIES_MAX * 4;
export const OLD_REGIONS_AT: usize = HEAP_AT + COPIES_MAX * 4;
export const NEW_REGIONS_AT: usize = OLD_REGIONS_AT + REGIONS_MAX * REGION_BYTES;
export const BASES_AT: usize = NEW_REGIONS_AT + REGIONS_MAX * REGION_BYTES;
export const TARGETS_AT: usize = BASES_AT + BASES_MAX * BASE_BYTES;
export const SLOTS_AT: usize = TARGETS_AT + TARGETS * TARGET_BYTES;
export const FLAGS_AT: usize = SLOTS_AT + SLOTS * 8;
export const MEMORY_END: usize = FLAGS_AT + FLAGS * 4;
