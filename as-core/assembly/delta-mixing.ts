// The mixing coder: several contexts say what they know of the next bit, a mixer that learns weighs them. Integers only, so
// that every machine computes the same. A slot holds a probability of 22 bits and, below, how often it was seen (10 bits).
import { FLAGS, FLAGS_AT, SLOTS, SLOTS_AT } from './delta-coder-memory';
import { codeBit } from './delta-range';

/** Most contexts of one bit. */
export const INPUTS_MAX: u32 = 24;
/** Weight sets. */
const SETS: u32 = 4096;
/** log2 of "1.0" of a weight. */
const WEIGHT_BITS: u32 = 16;
const FIRST_WEIGHT: i32 = 22000;
/** Log odds come in 256ths and end here. */
const ODDS_MAX: i32 = 3071;
const STRETCH_MAX: i32 = 2047;
const HALF: u32 = (1 << 31);
const COUNT_MASK: u32 = 1023;

/** 65536 / (1 + e^-x) at each quarter from 0 to 12. */
const KNOTS: usize = memory.data<u16>([
  32768, 36843, 40793, 44511, 47911, 50941, 53581, 55834, 57724, 59287, 60565, 61598, 62428, 63090, 63615, 64030, 64357,
  64614, 64816, 64974, 65097, 65194, 65269, 65328, 65374, 65410, 65438, 65459, 65476, 65489, 65500, 65508, 65514, 65519,
  65523, 65526, 65528, 65530, 65531, 65532, 65533, 65534, 65534, 65535, 65535, 65535, 65535, 65535, 65535,
]);
const squashes: usize = memory.data(6144 * 2, 16);
const stretches: usize = memory.data(4096 * 2, 16);
const rates: usize = memory.data(1024 * 4, 16);

const contexts: usize = memory.data(24 * 4, 16);
const slots: usize = memory.data(24 * 4, 16);
const inputs: usize = memory.data(24 * 4, 16);
const weights: usize = memory.data(4096 * 24 * 4, 16);

let count: u32 = 0;
/** The memory of a fresh instance is 0 already, and not touched in vain. */
let isUsed: bool = false;

function squashAt(odds: i32): u32 {
  const size: i32 = odds < 0 ? -odds : odds;
  const knot: u32 = size >> 6;
  const low: i32 = load<u16>(KNOTS + (<usize>knot << 1));
  const high: i32 = load<u16>(KNOTS + (<usize>min<u32>(knot + 1, 48) << 1));
  const value: i32 = low + (((high - low) * (size & 63)) >> 6);
  return odds < 0 ? 65536 - value : value;
}

/** Everything as before the first bit. */
export function beginMixing(): void {
  for (let odds: i32 = -3072; odds < 3072; odds++) {
    store<u16>(squashes + (<usize>(odds + 3072) << 1), <u16>min<u32>(max<u32>(squashAt(odds), 1), 65535));
  }
  let odds: i32 = -STRETCH_MAX;
  for (let p: u32 = 0; p < 4096; p++) {
    while (odds < STRETCH_MAX && squash(odds) < (p << 4) + 8) odds++;
    store<i16>(stretches + (<usize>p << 1), <i16>odds);
  }
  for (let n: u32 = 0; n < 1024; n++) store<u32>(rates + (<usize>n << 2), 131072 / (2 * n + 3));
  for (let i: u32 = 0; i < SETS * INPUTS_MAX; i++) store<i32>(weights + (<usize>i << 2), FIRST_WEIGHT);
  if (isUsed) {
    memory.fill(SLOTS_AT, 0, SLOTS * 8);
    memory.fill(FLAGS_AT, 0, FLAGS * 4);
  }
  isUsed = true;
  count = 0;
}

// @ts-ignore: decorator
@inline
function squash(odds: i32): u32 {
  return load<u16>(squashes + (<usize>(odds + 3072) << 1));
}

// @ts-ignore: decorator
@inline
function mixHash(value: u32): u32 {
  let h: u32 = value;
  h ^= h >>> 16;
  h *= 0x7feb352d;
  h ^= h >>> 15;
  h *= 0x846ca68b;
  return h ^ (h >>> 16);
}

/** Begins a list of contexts. */
// @ts-ignore: decorator
@inline
export function beginContexts(): void {
  count = 0;
}

/** Adds a context: its number is part of it. */
// @ts-ignore: decorator
@inline
export function addContext(a: u32, b: u32): void {
  const h: u32 = mixHash(a + (count + 1) * 0x9e3779b1) + b * 0x85ebca6b;
  store<u32>(contexts + (<usize>count << 2), h);
  count++;
}

// @ts-ignore: decorator
@inline
function moved(slot: usize, bit: u32, limit: u32): void {
  const old: u32 = load<u32>(slot) ^ HALF;
  const seen: u32 = old & COUNT_MASK;
  const p: i32 = <i32>(old >>> 10);
  const aim: i32 = bit != 0 ? 4194303 : 0;
  const step: i32 = <i32>((<i64>(aim - p) * <i64>load<u32>(rates + (<usize>seen << 2))) >> 16);
  store<u32>(slot, ((<u32>(p + step) << 10) | (seen < limit ? seen + 1 : seen)) ^ HALF);
}

/** Codes a flag with the contexts that were added: `set` chooses the weights. */
export function codeFlag(bit: u32, set: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const h: u32 = mixHash(load<u32>(contexts + (<usize>i << 2)));
    store<u32>(slots + (<usize>i << 2), <u32>(FLAGS_AT + (<usize>(h & (FLAGS - 1)) << 2)));
  }
  return mixed(bit, set, 1023);
}

/** Codes a bit of a value: `node` tells it from the others of the value. */
export function codeNode(bit: u32, node: u32, set: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const h: u32 = mixHash(load<u32>(contexts + (<usize>i << 2)) + node * 0x9e3779b1);
    const slot: usize = SLOTS_AT + (<usize>(h & (SLOTS - 1)) << 3);
    if (load<u32>(slot, 4) != h) {
      store<u32>(slot, 0);
      store<u32>(slot, h, 4);
    }
    store<u32>(slots + (<usize>i << 2), <u32>slot);
  }
  return mixed(bit, set, 255);
}

function mixed(bit: u32, set: u32, limit: u32): u32 {
  const own: usize = weights + <usize>(set & (SETS - 1)) * (INPUTS_MAX * 4);
  let sum: i64 = 0;
  for (let i: usize = 0; i < <usize>count << 2; i += 4) {
    const p: u32 = load<u32>(<usize>load<u32>(slots + i)) ^ HALF;
    const input: i32 = load<i16>(stretches + (<usize>(p >>> 20) << 1));
    store<i32>(inputs + i, input);
    sum += <i64>input * <i64>load<i32>(own + i);
  }
  const odds: i32 = <i32>max<i64>(min<i64>(sum >> WEIGHT_BITS, ODDS_MAX), -ODDS_MAX);
  const p: u32 = squash(odds);
  const result: u32 = codeBit(bit, p);
  const error: i32 = <i32>(result << 16) - <i32>p;
  for (let i: usize = 0; i < <usize>count << 2; i += 4) {
    const input: i32 = load<i32>(inputs + i);
    store<i32>(own + i, load<i32>(own + i) + ((input * (error >> 4) * 6 + 0x8000) >> 16));
    moved(<usize>load<u32>(slots + i), result, limit);
  }
  return result;
}
