// Numbers of the head: how many bits they have, then the bits below the highest one; the first three of those are modelled.
import { codeBit } from './delta-range';

const KINDS: u32 = 24;
/** Nodes of the tree of lengths, then 8 for each length. */
const CELLS: u32 = 128 + 65 * 8;
const MODELLED_BITS: u32 = 3;
const RATE: u32 = 4;

const cells: usize = memory.data(24 * (128 + 65 * 8) * 2, 16);

export function beginNumbers(): void {
  for (let i: u32 = 0; i < KINDS * CELLS; i++) store<u16>(cells + (<usize>i << 1), 32768);
}

function codeAdaptive(cell: usize, bit: u32): u32 {
  const p: u32 = load<u16>(cell);
  const result: u32 = codeBit(bit, max<u32>(p, 32));
  store<u16>(cell, <u16>(result != 0 ? p + ((65535 - p) >> RATE) : p - (p >> RATE)));
  return result;
}

/** Codes a number of the kind `kind`. */
export function codeNumber(kind: u32, value: u64): u64 {
  const own: usize = cells + <usize>(kind * CELLS) * 2;
  const bits: u32 = 64 - <u32>clz<u64>(value);
  let node: u32 = 1;
  for (let i: i32 = 6; i >= 0; i--) {
    node = (node << 1) | codeAdaptive(own + (<usize>node << 1), (bits >> i) & 1);
  }
  const length: u32 = min<u32>(node & 127, 64);
  if (length == 0) return 0;
  let result: u64 = 1;
  let modelled: u32 = 1;
  for (let i: i32 = <i32>length - 2; i >= 0; i--) {
    let bit: u32 = <u32>(value >> i) & 1;
    if (<i32>length - 2 - i < <i32>MODELLED_BITS) {
      bit = codeAdaptive(own + (<usize>(128 + length * 8 + modelled) << 1), bit);
      modelled = (modelled << 1) | bit;
    } else {
      bit = codeBit(bit, 32768);
    }
    result = (result << 1) | <u64>bit;
  }
  return result;
}

/** A signed number: the sign goes to the lowest bit. */
export function codeSigned(kind: u32, value: i64): i64 {
  const folded: u64 = <u64>((value << 1) ^ (value >> 63));
  const result: u64 = codeNumber(kind, folded);
  return <i64>(result >> 1) ^ -<i64>(result & 1);
}
