/** Ways to spoil bytes. */
import type { Random } from './random.ts';

/** Most changes in one input. */
const CHANGES_MAX = 6;
/** Most bytes that one change inserts, copies or removes. */
const SPAN_BYTES_MAX = 64;

const INTERESTING = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x1fffn,
  0x2000n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x1_0000n,
  0x10_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0xffff_ffff_ffff_ffffn,
] as const satisfies readonly [bigint, ...bigint[]];

type Change = (bytes: Buffer, random: Random, other: Uint8Array) => Buffer;

const flipBit: Change = (bytes, random) => {
  const at = random.below(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  return bytes;
};

const setByte: Change = (bytes, random) => {
  bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
};

const setNumber: Change = (bytes, random) => {
  const size = random.pick([1, 2, 4, 8]);
  if (bytes.length < size) return bytes;
  const at = random.below(bytes.length - size + 1);
  const mask = (1n << BigInt(8 * size)) - 1n;
  writeNumber(bytes.subarray(at, at + size), random.pick(INTERESTING) & mask);
  return bytes;
};

const addToNumber: Change = (bytes, random) => {
  const size = random.pick([1, 2, 4, 8]);
  if (bytes.length < size) return bytes;
  const field = bytes.subarray(random.below(bytes.length - size + 1)).subarray(0, size);
  const mask = (1n << BigInt(8 * size)) - 1n;
  const step = BigInt(random.below(33) - 16);
  writeNumber(field, (readNumber(field) + step) & mask);
  return bytes;
};

const cut: Change = (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1));

const append: Change = (bytes, random) => {
  const more = Buffer.alloc(1 + random.below(SPAN_BYTES_MAX), random.below(256));
  return Buffer.concat([bytes, more]);
};

const remove: Change = (bytes, random) => {
  const at = random.below(bytes.length);
  const end = at + 1 + random.below(SPAN_BYTES_MAX);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
};

const copyWithin: Change = (bytes, random) => {
  const from = random.below(bytes.length);
  bytes.copy(bytes, random.below(bytes.length), from, from + 1 + random.below(SPAN_BYTES_MAX));
  return bytes;
};

const splice: Change = (bytes, random, other) => {
  if (other.length === 0) return bytes;
  const from = random.below(other.length);
  const piece = other.subarray(from, from + 1 + random.below(SPAN_BYTES_MAX));
  bytes.set(
    piece.subarray(0, bytes.length),
    random.below(bytes.length - Math.min(piece.length, bytes.length) + 1),
  );
  return bytes;
};

const CHANGES = [
  flipBit,
  flipBit,
  setByte,
  setNumber,
  setNumber,
  addToNumber,
  addToNumber,
  cut,
  append,
  remove,
  copyWithin,
  splice,
] as const satisfies readonly [Change, ...Change[]];

/** `sample` with one to six changes, in memory of its own; now and then with none. `other` lends it pieces. */
export function mutate(sample: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let bytes = Buffer.from(sample);
  if (random.below(100) === 0) return bytes;
  const changes = 1 + random.below(CHANGES_MAX);
  for (let count = 0; count < changes && bytes.length > 0; count++) {
    bytes = Buffer.from(random.pick(CHANGES)(bytes, random, other));
  }
  return bytes;
}

function readNumber(field: Uint8Array): bigint {
  return field.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function writeNumber(field: Uint8Array, value: bigint): void {
  for (let index = 0; index < field.length; index++) {
    field[index] = Number((value >> BigInt(8 * index)) & 0xffn);
  }
}
