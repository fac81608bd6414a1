/**
 * SHA-256 in plain TypeScript, word by word from FIPS 180-4: slow, and with a count of bytes that can be told to begin
 * anywhere, as node:crypto cannot.
 */

/** The first bits of the fractional part of a root of a prime, in whole numbers only. */
function fractionOfRoot(prime: bigint, degree: bigint): number {
  const scaled = prime << (32n * degree);
  let low = 0n;
  let high = 1n << 64n;
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    if (middle ** degree <= scaled) low = middle;
    else high = middle - 1n;
  }
  return Number(low & 0xffffffffn);
}

function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let candidate = 2n; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0n)) found.push(candidate);
  }
  return found;
}

const ROUND_CONSTANTS = primes(64).map((prime) => fractionOfRoot(prime, 3n));
const INITIAL_HASH = primes(8).map((prime) => fractionOfRoot(prime, 2n));

const rotated = (word: number, bits: number) => (word >>> bits) | (word << (32 - bits));

/** Digest of `bytes` as if `bytesBefore` bytes, a multiple of 64, had been counted and not hashed. */
export function sha256Twin(bytes: Uint8Array, bytesBefore = 0n): Uint8Array {
  const zeros = (119 - (bytes.length % 64)) % 64;
  const padded = new Uint8Array(bytes.length + 1 + zeros + 8);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, (bytesBefore + BigInt(bytes.length)) * 8n);
  let hash = INITIAL_HASH;
  for (let offset = 0; offset < padded.length; offset += 64) {
    hash = compress(
      hash,
      Array.from({ length: 16 }, (_, index) => view.getUint32(offset + 4 * index)),
    );
  }
  const digest = new DataView(new ArrayBuffer(32));
  for (const [index, word] of hash.entries()) digest.setUint32(4 * index, word >>> 0);
  return new Uint8Array(digest.buffer);
}

function compress(hash: readonly number[], block: readonly number[]): number[] {
  const words = [...block];
  const word = (index: number) => words[index] ?? 0;
  for (let t = 16; t < 64; t++) {
    const x = word(t - 15);
    const y = word(t - 2);
    const sigma0 = rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3);
    const sigma1 = rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10);
    words.push((sigma1 + word(t - 7) + sigma0 + word(t - 16)) | 0);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = hash;
  for (const [t, constant] of ROUND_CONSTANTS.entries()) {
    const sum1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const t1 = (h + sum1 + ((e & f) ^ (~e & g)) + constant + word(t)) | 0;
    const sum0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const t2 = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  return [a, b, c, d, e, f, g, h].map((value, index) => (value + (hash[index] ?? 0)) | 0);
}
