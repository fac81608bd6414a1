// Memory of the matcher: imported, as large as the two sides need, and never grown while it works.
//
//   tracks    under 64 KiB   the alignments that are followed
//   old       ...            the old bytes, and 64 that are read past their end
//   new       ...            the new bytes, the same
//   table     2^n            where windows of the old bytes are: see delta-match-windows.ts
//   nodes     12 a block     how the paths came to where they are: see delta-match-tracks.ts
//   history   1 MiB          what the cheapest path cost before each of the last blocks

/** New bytes are looked at in blocks of this size. */
export const BLOCK_BYTES: u32 = 16;
export const BLOCK_LOG: u32 = 4;

/** Most bytes of a side: differences of offsets are i32. */
export const SIDE_BYTES_MAX: u32 = 0x7ffffff0;
export const TABLE_LOG_MIN: u32 = 12;
export const TABLE_LOG_MAX: u32 = 30;

/** Bytes of a node: first block u32, shift i32, node before u32. */
export const NODE_BYTES: u32 = 12;

/** Blocks that are remembered; a power of two. */
export const HISTORY_BLOCKS: u32 = 1 << 16;
/** A cost i64, a node u32, 4 unused. */
export const HISTORY_BYTES: u32 = 16;

export const TRACKS_AT: usize = 1024;

const FIRST_AT: u64 = 65536;
const SLACK_BYTES: u64 = 64;

export let oldAt: usize = 0;
export let oldBytes: u32 = 0;
export let newAt: usize = 0;
export let newBytes: u32 = 0;
export let tableAt: usize = 0;
export let tableLog: u32 = 0;
export let nodesAt: usize = 0;
export let nodesMax: u32 = 0;
export let historyAt: usize = 0;

function aligned(at: u64): u64 {
  return (at + 63) & ~63;
}

/** Lays the memory out. Answers how many bytes it must have before anything else is called; 0: a side is too large. */
export function place(oldLength: u32, newLength: u32, log: u32): u64 {
  if (oldLength > SIDE_BYTES_MAX || newLength > SIDE_BYTES_MAX) return 0;
  if (log < TABLE_LOG_MIN || log > TABLE_LOG_MAX) return 0;
  const newStart: u64 = aligned(FIRST_AT + <u64>oldLength + SLACK_BYTES);
  const tableStart: u64 = aligned(newStart + <u64>newLength + SLACK_BYTES);
  const nodesStart: u64 = tableStart + (<u64>1 << log);
  // Each block adds one at most, and the end one more.
  const nodes: u32 = newLength / BLOCK_BYTES + 2;
  const historyStart: u64 = aligned(nodesStart + <u64>nodes * NODE_BYTES);
  const end: u64 = historyStart + HISTORY_BLOCKS * HISTORY_BYTES;
  if (end > 0xffff0000) return 0;
  oldAt = <usize>FIRST_AT;
  oldBytes = oldLength;
  newAt = <usize>newStart;
  newBytes = newLength;
  tableAt = <usize>tableStart;
  tableLog = log;
  nodesAt = <usize>nodesStart;
  nodesMax = nodes;
  historyAt = <usize>historyStart;
  return end;
}

/** Where the old bytes are to be put. */
export function oldPointer(): usize {
  return oldAt;
}

/** Where the new bytes are to be put. */
export function newPointer(): usize {
  return newAt;
}

/** Where the nodes are. */
export function nodesPointer(): usize {
  return nodesAt;
}
