import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CoreError } from '@keelos/as-core/status.ts';
import {
  compileZstd,
  DECODER_CONTENT_BYTES_MAX,
  ENCODER_INPUT_BYTES_MAX,
  LEVEL_MAX,
  LEVEL_MIN,
  ZSTD_VERSION,
  ZstdDecoder,
  ZstdEncoder,
  type ZstdModules,
} from '@keelos/as-core/zstd.ts';
import fc from 'fast-check';

const MIB = 1024 * 1024;
const sample = readFileSync(process.execPath).subarray(30 * MIB, 39 * MIB);

/** libzstd 1.5.7 inside Node, in one call: with room for the whole frame it never works piece by piece. */
function nodeEncode(bytes: Uint8Array, level: number): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: bytes.length,
    chunkSize: bytes.length + 65_536,
  });
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof CoreError, `${error}`);
    return error.code;
  }
  return 'accepted';
}

describe('zstd in WebAssembly', () => {
  let modules: ZstdModules;
  let encoder: ZstdEncoder;
  let decoder: ZstdDecoder;

  before(async () => {
    modules = await compileZstd();
    encoder = new ZstdEncoder(modules);
    decoder = new ZstdDecoder(modules);
  });

  it('is the version that Node has', () => {
    assert.equal(ZSTD_VERSION, process.versions.zstd);
  });

  it('gives the bytes of libzstd at every level, whatever was encoded before', () => {
    for (const size of [0, 1, 100, 8192, 131_072]) {
      const bytes = sample.subarray(size, 2 * size);
      for (let level = LEVEL_MIN; level <= LEVEL_MAX; level++) {
        const frame = encoder.encode(bytes, level);
        assert.deepEqual(frame, new Uint8Array(nodeEncode(bytes, level)), `${size} at ${level}`);
      }
    }
  });

  it('gives the bytes of libzstd for the largest SquashFS block', () => {
    const bytes = sample.subarray(0, MIB);
    for (const level of [1, 3, 9, 15, 19]) {
      assert.ok(Buffer.from(nodeEncode(bytes, level)).equals(encoder.encode(bytes, level)));
    }
  });

  it('reads what it wrote, and what Node wrote', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5000 }),
        fc.integer({ min: 1, max: 9 }),
        (bytes, level) => {
          const options = { contentBytesMax: bytes.length };
          assert.deepEqual(decoder.decode(encoder.encode(bytes, level), options), bytes);
          assert.deepEqual(decoder.decode(nodeEncode(bytes, level), options), bytes);
          assert.deepEqual(new Uint8Array(zstdDecompressSync(encoder.encode(bytes, level))), bytes);
        },
      ),
    );
  });

  it('reads the largest content in the memory that it may have', () => {
    const bytes = sample.subarray(0, DECODER_CONTENT_BYTES_MAX);
    const frame = encoder.encode(bytes, 3);
    assert.ok(Buffer.from(decoder.decode(frame, { contentBytesMax: bytes.length })).equals(bytes));
  });

  it('writes into the memory of the caller, and nowhere else', () => {
    const target = new Uint8Array(200).fill(7);
    const frame = encoder.encode(sample.subarray(0, 100), 3);
    assert.equal(decoder.decodeInto(frame, target.subarray(50, 150)), 100);
    assert.deepEqual(target.subarray(50, 150), new Uint8Array(sample.subarray(0, 100)));
    assert.ok(target.subarray(0, 50).every((byte) => byte === 7));
    assert.ok(target.subarray(150).every((byte) => byte === 7));
  });

  it('gives content that the next call does not change', () => {
    const first = decoder.decode(encoder.encode(Buffer.from('first'), 3), { contentBytesMax: 5 });
    decoder.decode(encoder.encode(Buffer.from('other'), 3), { contentBytesMax: 5 });
    assert.equal(Buffer.from(first).toString(), 'first');
  });

  it('refuses content over the limit, and works on', () => {
    const frame = encoder.encode(sample.subarray(0, 1000), 3);
    assert.equal(
      codeOf(() => decoder.decode(frame, { contentBytesMax: 999 })),
      'zstd-content-too-large',
    );
    const target = new Uint8Array(999).fill(7);
    assert.equal(decoder.tryDecodeInto(frame, target), -46);
    assert.ok(target.every((byte) => byte === 7));
    assert.equal(decoder.decode(frame, { contentBytesMax: 1000 }).length, 1000);
  });

  it('tells a mistake of the caller from bad bytes', () => {
    const frame = encoder.encode(sample.subarray(0, 10), 3);
    for (const contentBytesMax of [-1, 0.5, Number.NaN, DECODER_CONTENT_BYTES_MAX + 1]) {
      assert.throws(() => decoder.decode(frame, { contentBytesMax }), RangeError);
    }
    for (const level of [0, -1, 23, 1.5]) {
      assert.throws(() => encoder.encode(frame, level), RangeError);
    }
    const long = new Uint8Array(ENCODER_INPUT_BYTES_MAX + 1);
    assert.throws(() => encoder.encode(long, 1), RangeError);
  });
});
