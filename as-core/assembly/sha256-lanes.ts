// SHA-256 of four independent messages at a time: word i of message l is in lane l of a v128.
//
// The round constants stand broadcast in memory: a `v128.const` for each made the loop 20 to 30 % slower. Sixteen rounds
// are written out, so that no variable moves; all 64 would not fit into the registers. Sums add last what is known last:
// together with the shorter `majority` that made the loop 10 % faster.
import { roundConstants } from './sha256-constants';

/** Messages at a time. */
export const LANES: u32 = 4;

/** The state of four messages: 8 words of 16 bytes. */
export const LANE_STATE_BYTES: u32 = 128;

const constants: usize = memory.data(64 * 16, 16);

for (let word: usize = 0; word < 64; word++) {
  v128.store(constants + 16 * word, i32x4.splat(load<u32>(roundConstants + 4 * word)));
}

// @ts-ignore: decorator
@inline
function add(x: v128, y: v128): v128 {
  return i32x4.add(x, y);
}

// @ts-ignore: decorator
@inline
function xor(x: v128, y: v128): v128 {
  return v128.xor(x, y);
}

// @ts-ignore: decorator
@inline
function choose(x: v128, y: v128, z: v128): v128 {
  return xor(z, v128.and(x, xor(y, z)));
}

/** y ^ (xy & yz) with xy = x ^ y and yz = y ^ z: the xy of one round is the yz of the next. */
// @ts-ignore: decorator
@inline
function majority(y: v128, xy: v128, yz: v128): v128 {
  return xor(y, v128.and(xy, yz));
}

// @ts-ignore: decorator
@inline
function rotated(x: v128, bits: i32): v128 {
  return xor(i32x4.shr_u(x, bits), i32x4.shl(x, 32 - bits));
}

// @ts-ignore: decorator
@inline
function sum0(x: v128): v128 {
  return xor(xor(rotated(x, 2), rotated(x, 13)), rotated(x, 22));
}

// @ts-ignore: decorator
@inline
function sum1(x: v128): v128 {
  return xor(xor(rotated(x, 6), rotated(x, 11)), rotated(x, 25));
}

// @ts-ignore: decorator
@inline
function sigma0(x: v128): v128 {
  return xor(xor(rotated(x, 7), rotated(x, 18)), i32x4.shr_u(x, 3));
}

// @ts-ignore: decorator
@inline
function sigma1(x: v128): v128 {
  return xor(xor(rotated(x, 17), rotated(x, 19)), i32x4.shr_u(x, 10));
}

/** Word t of the schedule from the words t - 16, t - 15, t - 7 and t - 2. */
// @ts-ignore: decorator
@inline
function next(w16: v128, w15: v128, w7: v128, w2: v128): v128 {
  return add(add(add(w16, w7), sigma0(w15)), sigma1(w2));
}

/** 16 bytes as four big-endian numbers. */
// @ts-ignore: decorator
@inline
function bigEndian(at: usize, offset: usize): v128 {
  const bytes: v128 = v128.load(at + offset);
  return i8x16.shuffle(bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

/** Gives all four messages the same state, eight numbers at `hash`. */
export function spreadState(state: usize, hash: usize): void {
  for (let word: usize = 0; word < 8; word++) {
    v128.store(state + 16 * word, i32x4.splat(load<u32>(hash + 4 * word)));
  }
}

/** Writes the state of one message as 32 bytes of a digest. */
export function storeDigest(state: usize, lane: usize, target: usize): void {
  for (let word: usize = 0; word < 8; word++) {
    store<u32>(target + 4 * word, bswap<u32>(load<u32>(state + 16 * word + 4 * lane)));
  }
}

/** FIPS 180-4 section 6.2.2 for four times 64 bytes, one block of each message. Any alignment. */
export function compressLanes(state: usize, block0: usize, block1: usize, block2: usize, block3: usize): void {
  let r0: v128 = bigEndian(block0, 0);
  let r1: v128 = bigEndian(block1, 0);
  let r2: v128 = bigEndian(block2, 0);
  let r3: v128 = bigEndian(block3, 0);
  let p0: v128 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  let p1: v128 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  let p2: v128 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  let p3: v128 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  let w0: v128 = v128.shuffle<i64>(p0, p1, 0, 2);
  let w1: v128 = v128.shuffle<i64>(p0, p1, 1, 3);
  let w2: v128 = v128.shuffle<i64>(p2, p3, 0, 2);
  let w3: v128 = v128.shuffle<i64>(p2, p3, 1, 3);
  r0 = bigEndian(block0, 16);
  r1 = bigEndian(block1, 16);
  r2 = bigEndian(block2, 16);
  r3 = bigEndian(block3, 16);
  p0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  p1 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  p2 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  p3 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  let w4: v128 = v128.shuffle<i64>(p0, p1, 0, 2);
  let w5: v128 = v128.shuffle<i64>(p0, p1, 1, 3);
  let w6: v128 = v128.shuffle<i64>(p2, p3, 0, 2);
  let w7: v128 = v128.shuffle<i64>(p2, p3, 1, 3);
  r0 = bigEndian(block0, 32);
  r1 = bigEndian(block1, 32);
  r2 = bigEndian(block2, 32);
  r3 = bigEndian(block3, 32);
  p0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  p1 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  p2 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  p3 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  let w8: v128 = v128.shuffle<i64>(p0, p1, 0, 2);
  let w9: v128 = v128.shuffle<i64>(p0, p1, 1, 3);
  let w10: v128 = v128.shuffle<i64>(p2, p3, 0, 2);
  let w11: v128 = v128.shuffle<i64>(p2, p3, 1, 3);
  r0 = bigEndian(block0, 48);
  r1 = bigEndian(block1, 48);
  r2 = bigEndian(block2, 48);
  r3 = bigEndian(block3, 48);
  p0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  p1 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  p2 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  p3 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  let w12: v128 = v128.shuffle<i64>(p0, p1, 0, 2);
  let w13: v128 = v128.shuffle<i64>(p0, p1, 1, 3);
  let w14: v128 = v128.shuffle<i64>(p2, p3, 0, 2);
  let w15: v128 = v128.shuffle<i64>(p2, p3, 1, 3);
  let a: v128 = v128.load(state, 0);
  let b: v128 = v128.load(state, 16);
  let c: v128 = v128.load(state, 32);
  let d: v128 = v128.load(state, 48);
  let e: v128 = v128.load(state, 64);
  let f: v128 = v128.load(state, 80);
  let g: v128 = v128.load(state, 96);
  let h: v128 = v128.load(state, 112);
  let even: v128 = xor(b, c);
  let odd: v128 = even;
  h = add(add(add(add(h, v128.load(constants, 0)), w0), choose(e, f, g)), sum1(e));
  d = add(d, h);
  odd = xor(a, b);
  h = add(h, add(sum0(a), majority(b, odd, even)));
  g = add(add(add(add(g, v128.load(constants, 16)), w1), choose(d, e, f)), sum1(d));
  c = add(c, g);
  even = xor(h, a);
  g = add(g, add(sum0(h), majority(a, even, odd)));
  f = add(add(add(add(f, v128.load(constants, 32)), w2), choose(c, d, e)), sum1(c));
  b = add(b, f);
  odd = xor(g, h);
  f = add(f, add(sum0(g), majority(h, odd, even)));
  e = add(add(add(add(e, v128.load(constants, 48)), w3), choose(b, c, d)), sum1(b));
  a = add(a, e);
  even = xor(f, g);
  e = add(e, add(sum0(f), majority(g, even, odd)));
  d = add(add(add(add(d, v128.load(constants, 64)), w4), choose(a, b, c)), sum1(a));
  h = add(h, d);
  odd = xor(e, f);
  d = add(d, add(sum0(e), majority(f, odd, even)));
  c = add(add(add(add(c, v128.load(constants, 80)), w5), choose(h, a, b)), sum1(h));
  g = add(g, c);
  even = xor(d, e);
  c = add(c, add(sum0(d), majority(e, even, odd)));
  b = add(add(add(add(b, v128.load(constants, 96)), w6), choose(g, h, a)), sum1(g));
  f = add(f, b);
  odd = xor(c, d);
  b = add(b, add(sum0(c), majority(d, odd, even)));
  a = add(add(add(add(a, v128.load(constants, 112)), w7), choose(f, g, h)), sum1(f));
  e = add(e, a);
  even = xor(b, c);
  a = add(a, add(sum0(b), majority(c, even, odd)));
  h = add(add(add(add(h, v128.load(constants, 128)), w8), choose(e, f, g)), sum1(e));
  d = add(d, h);
  odd = xor(a, b);
  h = add(h, add(sum0(a), majority(b, odd, even)));
  g = add(add(add(add(g, v128.load(constants, 144)), w9), choose(d, e, f)), sum1(d));
  c = add(c, g);
  even = xor(h, a);
  g = add(g, add(sum0(h), majority(a, even, odd)));
  f = add(add(add(add(f, v128.load(constants, 160)), w10), choose(c, d, e)), sum1(c));
  b = add(b, f);
  odd = xor(g, h);
  f = add(f, add(sum0(g), majority(h, odd, even)));
  e = add(add(add(add(e, v128.load(constants, 176)), w11), choose(b, c, d)), sum1(b));
  a = add(a, e);
  even = xor(f, g);
  e = add(e, add(sum0(f), majority(g, even, odd)));
  d = add(add(add(add(d, v128.load(constants, 192)), w12), choose(a, b, c)), sum1(a));
  h = add(h, d);
  odd = xor(e, f);
  d = add(d, add(sum0(e), majority(f, odd, even)));
  c = add(add(add(add(c, v128.load(constants, 208)), w13), choose(h, a, b)), sum1(h));
  g = add(g, c);
  even = xor(d, e);
  c = add(c, add(sum0(d), majority(e, even, odd)));
  b = add(add(add(add(b, v128.load(constants, 224)), w14), choose(g, h, a)), sum1(g));
  f = add(f, b);
  odd = xor(c, d);
  b = add(b, add(sum0(c), majority(d, odd, even)));
  a = add(add(add(add(a, v128.load(constants, 240)), w15), choose(f, g, h)), sum1(f));
  e = add(e, a);
  even = xor(b, c);
  a = add(a, add(sum0(b), majority(c, even, odd)));
  for (let key: usize = constants + 256; key < constants + 1024; key += 256) {
    w0 = next(w0, w1, w9, w14);
    h = add(add(add(add(h, v128.load(key, 0)), w0), choose(e, f, g)), sum1(e));
    d = add(d, h);
    odd = xor(a, b);
    h = add(h, add(sum0(a), majority(b, odd, even)));
    w1 = next(w1, w2, w10, w15);
    g = add(add(add(add(g, v128.load(key, 16)), w1), choose(d, e, f)), sum1(d));
    c = add(c, g);
    even = xor(h, a);
    g = add(g, add(sum0(h), majority(a, even, odd)));
    w2 = next(w2, w3, w11, w0);
    f = add(add(add(add(f, v128.load(key, 32)), w2), choose(c, d, e)), sum1(c));
    b = add(b, f);
    odd = xor(g, h);
    f = add(f, add(sum0(g), majority(h, odd, even)));
    w3 = next(w3, w4, w12, w1);
    e = add(add(add(add(e, v128.load(key, 48)), w3), choose(b, c, d)), sum1(b));
    a = add(a, e);
    even = xor(f, g);
    e = add(e, add(sum0(f), majority(g, even, odd)));
    w4 = next(w4, w5, w13, w2);
    d = add(add(add(add(d, v128.load(key, 64)), w4), choose(a, b, c)), sum1(a));
    h = add(h, d);
    odd = xor(e, f);
    d = add(d, add(sum0(e), majority(f, odd, even)));
    w5 = next(w5, w6, w14, w3);
    c = add(add(add(add(c, v128.load(key, 80)), w5), choose(h, a, b)), sum1(h));
    g = add(g, c);
    even = xor(d, e);
    c = add(c, add(sum0(d), majority(e, even, odd)));
    w6 = next(w6, w7, w15, w4);
    b = add(add(add(add(b, v128.load(key, 96)), w6), choose(g, h, a)), sum1(g));
    f = add(f, b);
    odd = xor(c, d);
    b = add(b, add(sum0(c), majority(d, odd, even)));
    w7 = next(w7, w8, w0, w5);
    a = add(add(add(add(a, v128.load(key, 112)), w7), choose(f, g, h)), sum1(f));
    e = add(e, a);
    even = xor(b, c);
    a = add(a, add(sum0(b), majority(c, even, odd)));
    w8 = next(w8, w9, w1, w6);
    h = add(add(add(add(h, v128.load(key, 128)), w8), choose(e, f, g)), sum1(e));
    d = add(d, h);
    odd = xor(a, b);
    h = add(h, add(sum0(a), majority(b, odd, even)));
    w9 = next(w9, w10, w2, w7);
    g = add(add(add(add(g, v128.load(key, 144)), w9), choose(d, e, f)), sum1(d));
    c = add(c, g);
    even = xor(h, a);
    g = add(g, add(sum0(h), majority(a, even, odd)));
    w10 = next(w10, w11, w3, w8);
    f = add(add(add(add(f, v128.load(key, 160)), w10), choose(c, d, e)), sum1(c));
    b = add(b, f);
    odd = xor(g, h);
    f = add(f, add(sum0(g), majority(h, odd, even)));
    w11 = next(w11, w12, w4, w9);
    e = add(add(add(add(e, v128.load(key, 176)), w11), choose(b, c, d)), sum1(b));
    a = add(a, e);
    even = xor(f, g);
    e = add(e, add(sum0(f), majority(g, even, odd)));
    w12 = next(w12, w13, w5, w10);
    d = add(add(add(add(d, v128.load(key, 192)), w12), choose(a, b, c)), sum1(a));
    h = add(h, d);
    odd = xor(e, f);
    d = add(d, add(sum0(e), majority(f, odd, even)));
    w13 = next(w13, w14, w6, w11);
    c = add(add(add(add(c, v128.load(key, 208)), w13), choose(h, a, b)), sum1(h));
    g = add(g, c);
    even = xor(d, e);
    c = add(c, add(sum0(d), majority(e, even, odd)));
    w14 = next(w14, w15, w7, w12);
    b = add(add(add(add(b, v128.load(key, 224)), w14), choose(g, h, a)), sum1(g));
    f = add(f, b);
    odd = xor(c, d);
    b = add(b, add(sum0(c), majority(d, odd, even)));
    w15 = next(w15, w0, w8, w13);
    a = add(add(add(add(a, v128.load(key, 240)), w15), choose(f, g, h)), sum1(f));
    e = add(e, a);
    even = xor(b, c);
    a = add(a, add(sum0(b), majority(c, even, odd)));
  }
  v128.store(state, add(v128.load(state, 0), a), 0);
  v128.store(state, add(v128.load(state, 16), b), 16);
  v128.store(state, add(v128.load(state, 32), c), 32);
  v128.store(state, add(v128.load(state, 48), d), 48);
  v128.store(state, add(v128.load(state, 64), e), 64);
  v128.store(state, add(v128.load(state, 80), f), 80);
  v128.store(state, add(v128.load(state, 96), g), 96);
  v128.store(state, add(v128.load(state, 112), h), 112);
}
