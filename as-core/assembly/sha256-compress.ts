// SHA-256 of one block of 64 bytes.
import { roundConstants } from './sha256-constants';

// @ts-ignore: decorator
@inline
function choose(x: u32, y: u32, z: u32): u32 {
  return z ^ (x & (y ^ z));
}

/** y ^ (xy & yz) with xy = x ^ y and yz = y ^ z: the xy of one round is the yz of the next. */
// @ts-ignore: decorator
@inline
function majority(y: u32, xy: u32, yz: u32): u32 {
  return y ^ (xy & yz);
}

// @ts-ignore: decorator
@inline
function sum0(x: u32): u32 {
  return rotr<u32>(x, 2) ^ rotr<u32>(x, 13) ^ rotr<u32>(x, 22);
}

// @ts-ignore: decorator
@inline
function sum1(x: u32): u32 {
  return rotr<u32>(x, 6) ^ rotr<u32>(x, 11) ^ rotr<u32>(x, 25);
}

// @ts-ignore: decorator
@inline
function sigma0(x: u32): u32 {
  return rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
}

// @ts-ignore: decorator
@inline
function sigma1(x: u32): u32 {
  return rotr<u32>(x, 17) ^ rotr<u32>(x, 19) ^ (x >> 10);
}

/** Word t of the schedule from the words t - 16, t - 15, t - 7 and t - 2. */
// @ts-ignore: decorator
@inline
function next(w16: u32, w15: u32, w7: u32, w2: u32): u32 {
  return w16 + w7 + sigma0(w15) + sigma1(w2);
}

/**
 * FIPS 180-4 section 6.2.2: takes the 64 bytes at `block` into the eight numbers at `hash`. Sixteen rounds are written out, so that no value moves; sums add
 * last what is known last.
 */
export function compress(hash: usize, block: usize): void {
  let w0: u32 = bswap<u32>(load<u32>(block, 0));
  let w1: u32 = bswap<u32>(load<u32>(block, 4));
  let w2: u32 = bswap<u32>(load<u32>(block, 8));
  let w3: u32 = bswap<u32>(load<u32>(block, 12));
  let w4: u32 = bswap<u32>(load<u32>(block, 16));
  let w5: u32 = bswap<u32>(load<u32>(block, 20));
  let w6: u32 = bswap<u32>(load<u32>(block, 24));
  let w7: u32 = bswap<u32>(load<u32>(block, 28));
  let w8: u32 = bswap<u32>(load<u32>(block, 32));
  let w9: u32 = bswap<u32>(load<u32>(block, 36));
  let w10: u32 = bswap<u32>(load<u32>(block, 40));
  let w11: u32 = bswap<u32>(load<u32>(block, 44));
  let w12: u32 = bswap<u32>(load<u32>(block, 48));
  let w13: u32 = bswap<u32>(load<u32>(block, 52));
  let w14: u32 = bswap<u32>(load<u32>(block, 56));
  let w15: u32 = bswap<u32>(load<u32>(block, 60));
  let a: u32 = load<u32>(hash, 0);
  let b: u32 = load<u32>(hash, 4);
  let c: u32 = load<u32>(hash, 8);
  let d: u32 = load<u32>(hash, 12);
  let e: u32 = load<u32>(hash, 16);
  let f: u32 = load<u32>(hash, 20);
  let g: u32 = load<u32>(hash, 24);
  let h: u32 = load<u32>(hash, 28);
  let even: u32 = b ^ c;
  let odd: u32 = even;
  h = h + load<u32>(roundConstants, 0) + w0 + choose(e, f, g) + sum1(e);
  d += h;
  odd = a ^ b;
  h += sum0(a) + majority(b, odd, even);
  g = g + load<u32>(roundConstants, 4) + w1 + choose(d, e, f) + sum1(d);
  c += g;
  even = h ^ a;
  g += sum0(h) + majority(a, even, odd);
  f = f + load<u32>(roundConstants, 8) + w2 + choose(c, d, e) + sum1(c);
  b += f;
  odd = g ^ h;
  f += sum0(g) + majority(h, odd, even);
  e = e + load<u32>(roundConstants, 12) + w3 + choose(b, c, d) + sum1(b);
  a += e;
  even = f ^ g;
  e += sum0(f) + majority(g, even, odd);
  d = d + load<u32>(roundConstants, 16) + w4 + choose(a, b, c) + sum1(a);
  h += d;
  odd = e ^ f;
  d += sum0(e) + majority(f, odd, even);
  c = c + load<u32>(roundConstants, 20) + w5 + choose(h, a, b) + sum1(h);
  g += c;
  even = d ^ e;
  c += sum0(d) + majority(e, even, odd);
  b = b + load<u32>(roundConstants, 24) + w6 + choose(g, h, a) + sum1(g);
  f += b;
  odd = c ^ d;
  b += sum0(c) + majority(d, odd, even);
  a = a + load<u32>(roundConstants, 28) + w7 + choose(f, g, h) + sum1(f);
  e += a;
  even = b ^ c;
  a += sum0(b) + majority(c, even, odd);
  h = h + load<u32>(roundConstants, 32) + w8 + choose(e, f, g) + sum1(e);
  d += h;
  odd = a ^ b;
  h += sum0(a) + majority(b, odd, even);
  g = g + load<u32>(roundConstants, 36) + w9 + choose(d, e, f) + sum1(d);
  c += g;
  even = h ^ a;
  g += sum0(h) + majority(a, even, odd);
  f = f + load<u32>(roundConstants, 40) + w10 + choose(c, d, e) + sum1(c);
  b += f;
  odd = g ^ h;
  f += sum0(g) + majority(h, odd, even);
  e = e + load<u32>(roundConstants, 44) + w11 + choose(b, c, d) + sum1(b);
  a += e;
  even = f ^ g;
  e += sum0(f) + majority(g, even, odd);
  d = d + load<u32>(roundConstants, 48) + w12 + choose(a, b, c) + sum1(a);
  h += d;
  odd = e ^ f;
  d += sum0(e) + majority(f, odd, even);
  c = c + load<u32>(roundConstants, 52) + w13 + choose(h, a, b) + sum1(h);
  g += c;
  even = d ^ e;
  c += sum0(d) + majority(e, even, odd);
  b = b + load<u32>(roundConstants, 56) + w14 + choose(g, h, a) + sum1(g);
  f += b;
  odd = c ^ d;
  b += sum0(c) + majority(d, odd, even);
  a = a + load<u32>(roundConstants, 60) + w15 + choose(f, g, h) + sum1(f);
  e += a;
  even = b ^ c;
  a += sum0(b) + majority(c, even, odd);
  for (let key: usize = roundConstants + 64; key < roundConstants + 256; key += 64) {
    w0 = next(w0, w1, w9, w14);
    h = h + load<u32>(key, 0) + w0 + choose(e, f, g) + sum1(e);
    d += h;
    odd = a ^ b;
    h += sum0(a) + majority(b, odd, even);
    w1 = next(w1, w2, w10, w15);
    g = g + load<u32>(key, 4) + w1 + choose(d, e, f) + sum1(d);
    c += g;
    even = h ^ a;
    g += sum0(h) + majority(a, even, odd);
    w2 = next(w2, w3, w11, w0);
    f = f + load<u32>(key, 8) + w2 + choose(c, d, e) + sum1(c);
    b += f;
    odd = g ^ h;
    f += sum0(g) + majority(h, odd, even);
    w3 = next(w3, w4, w12, w1);
    e = e + load<u32>(key, 12) + w3 + choose(b, c, d) + sum1(b);
    a += e;
    even = f ^ g;
    e += sum0(f) + majority(g, even, odd);
    w4 = next(w4, w5, w13, w2);
    d = d + load<u32>(key, 16) + w4 + choose(a, b, c) + sum1(a);
    h += d;
    odd = e ^ f;
    d += sum0(e) + majority(f, odd, even);
    w5 = next(w5, w6, w14, w3);
    c = c + load<u32>(key, 20) + w5 + choose(h, a, b) + sum1(h);
    g += c;
    even = d ^ e;
    c += sum0(d) + majority(e, even, odd);
    w6 = next(w6, w7, w15, w4);
    b = b + load<u32>(key, 24) + w6 + choose(g, h, a) + sum1(g);
    f += b;
    odd = c ^ d;
    b += sum0(c) + majority(d, odd, even);
    w7 = next(w7, w8, w0, w5);
    a = a + load<u32>(key, 28) + w7 + choose(f, g, h) + sum1(f);
    e += a;
    even = b ^ c;
    a += sum0(b) + majority(c, even, odd);
    w8 = next(w8, w9, w1, w6);
    h = h + load<u32>(key, 32) + w8 + choose(e, f, g) + sum1(e);
    d += h;
    odd = a ^ b;
    h += sum0(a) + majority(b, odd, even);
    w9 = next(w9, w10, w2, w7);
    g = g + load<u32>(key, 36) + w9 + choose(d, e, f) + sum1(d);
    c += g;
    even = h ^ a;
    g += sum0(h) + majority(a, even, odd);
    w10 = next(w10, w11, w3, w8);
    f = f + load<u32>(key, 40) + w10 + choose(c, d, e) + sum1(c);
    b += f;
    odd = g ^ h;
    f += sum0(g) + majority(h, odd, even);
    w11 = next(w11, w12, w4, w9);
    e = e + load<u32>(key, 44) + w11 + choose(b, c, d) + sum1(b);
    a += e;
    even = f ^ g;
    e += sum0(f) + majority(g, even, odd);
    w12 = next(w12, w13, w5, w10);
    d = d + load<u32>(key, 48) + w12 + choose(a, b, c) + sum1(a);
    h += d;
    odd = e ^ f;
    d += sum0(e) + majority(f, odd, even);
    w13 = next(w13, w14, w6, w11);
    c = c + load<u32>(key, 52) + w13 + choose(h, a, b) + sum1(h);
    g += c;
    even = d ^ e;
    c += sum0(d) + majority(e, even, odd);
    w14 = next(w14, w15, w7, w12);
    b = b + load<u32>(key, 56) + w14 + choose(g, h, a) + sum1(g);
    f += b;
    odd = c ^ d;
    b += sum0(c) + majority(d, odd, even);
    w15 = next(w15, w0, w8, w13);
    a = a + load<u32>(key, 60) + w15 + choose(f, g, h) + sum1(f);
    e += a;
    even = b ^ c;
    a += sum0(b) + majority(c, even, odd);
  }
  store<u32>(hash, load<u32>(hash, 0) + a, 0);
  store<u32>(hash, load<u32>(hash, 4) + b, 4);
  store<u32>(hash, load<u32>(hash, 8) + c, 8);
  store<u32>(hash, load<u32>(hash, 12) + d, 12);
  store<u32>(hash, load<u32>(hash, 16) + e, 16);
  store<u32>(hash, load<u32>(hash, 20) + f, 20);
  store<u32>(hash, load<u32>(hash, 24) + g, 24);
  store<u32>(hash, load<u32>(hash, 28) + h, 28);
}
