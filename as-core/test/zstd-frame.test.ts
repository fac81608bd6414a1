import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CoreError, Status } from '@keelos/as-core/status.ts';
import { compileZstd, ZstdDecoder, ZstdEncoder } from '@keelos/as-core/zstd.ts';
import { BlockType, blockOf, frameOf, rawBlock } from './zstd-frames.ts';

const KIB = 1024;
const sample = readFileSync(process.execPath).subarray(30_000_000, 31_000_000);
const FIVE = [1, 2, 3, 4, 5];

/** Descriptor of a frame in a single segment with a content size of one byte, and that byte. */
const small = (size: number, blocks: readonly Uint8Array[]) =>
  frameOf({ descriptor: 0x20, fields: [size], blocks });

describe('guard of zstd frames', () => {
  let decoder: ZstdDecoder;
  let frames: ReadonlyMap<string, { frame: Uint8Array; content: Uint8Array }>;

  before(async () => {
    const modules = await compileZstd();
    decoder = new ZstdDecoder(modules);
    const encoder = new ZstdEncoder(modules);
    const contents = new Map<string, Uint8Array>([
      ['nothing', new Uint8Array(0)],
      ['one byte', Uint8Array.of(9)],
      ['zeros', new Uint8Array(5000)],
      ['text', Buffer.from('the quick brown fox '.repeat(40))],
      ['program', sample.subarray(0, 3000)],
      [
        'noise',
        Uint8Array.from({ length: 600 }, (_, n) => (n * n * 7919 + (n >> 3) * 104_729) >> 5),
      ],
    ]);
    const made = [...contents].map(
      ([name, content]) => [name, { frame: encoder.encode(content, 15), content }] as const,
    );
    const withChecksum = zstdCompressSync(Buffer.from('the quick brown fox '.repeat(9)), {
      params: { [constants.ZSTD_c_checksumFlag]: 1 },
      pledgedSrcSize: 180,
    });
    const checked = { frame: withChecksum, content: zstdDecompressSync(withChecksum) };
    frames = new Map([...made, ['checksum', checked]]);
  });

  /** What the decoder says: a code, or "ok" after comparing with `content`. */
  function verdict(frame: Uint8Array, contentBytesMax = 128 * KIB): string {
    try {
      decoder.decode(frame, { contentBytesMax });
    } catch (error) {
      if (error instanceof CoreError) return error.code;
      throw error;
    }
    return 'ok';
  }

  it('takes every descriptor byte for what RFC 8878 says', () => {
    // The fields mean 5 bytes of content wherever the format can say so, and the window is 1 KiB.
    for (let descriptor = 0; descriptor < 256; descriptor++) {
      const sizeFlag = descriptor >> 6;
      const isSingle = (descriptor & 0x20) !== 0;
      const content = sizeFlag === 1 ? Array.from({ length: 261 }, (_, n) => n & 0xff) : FIVE;
      const size = [[5], [5, 0], [5, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0]][sizeFlag] ?? [];
      const hasSize = sizeFlag !== 0 || isSingle;
      const fields = [...(isSingle ? [] : [0]), ...(hasSize ? size : [])];
      const blocks = [rawBlock(content)];
      const hasChecksum = (descriptor & 4) !== 0;
      const frame = frameOf({
        descriptor,
        fields,
        blocks,
        checksum: hasChecksum ? [0, 0, 0, 0] : [],
      });
      const expected =
        (descriptor & 8) !== 0
          ? 'zstd-reserved-bit'
          : (descriptor & 3) !== 0
            ? 'zstd-dictionary'
            : hasSize
              ? hasChecksum
                ? 'zstd-corrupt'
                : 'ok'
              : 'zstd-no-content-size';
      assert.equal(verdict(frame), expected, `descriptor ${descriptor}`);
    }
  });

  it('takes every window byte for what RFC 8878 says', () => {
    const limits = [KIB, 8 * KIB, 128 * KIB, 1024 * KIB, 8192 * KIB];
    for (let window = 0; window < 256; window++) {
      const base = 2 ** (10 + (window >> 3));
      const bytes = base + (base / 8) * (window & 7);
      const frame = frameOf({
        descriptor: 0x80,
        fields: [window, 5, 0, 0, 0],
        blocks: [rawBlock(FIVE)],
      });
      for (const limit of limits) {
        const expected = bytes <= limit ? 'ok' : 'zstd-window-too-large';
        assert.equal(verdict(frame, limit), expected, `window ${window}, limit ${limit}`);
      }
      assert.equal(verdict(frame, 5), window === 0 ? 'ok' : 'zstd-window-too-large');
    }
  });

  it('refuses every skippable frame and every other magic number', () => {
    for (let low = 0; low < 16; low++) {
      const magic = 0x184d2a50 + low;
      assert.equal(
        verdict(frameOf({ magic, descriptor: 0, fields: [0, 0, 0], blocks: [] })),
        'zstd-skippable',
      );
    }
    for (let bit = 0; bit < 32; bit++) {
      const magic = (0xfd2fb528 ^ (2 ** bit)) >>> 0;
      const frame = frameOf({ magic, descriptor: 0x20, fields: [5], blocks: [rawBlock(FIVE)] });
      assert.equal(verdict(frame), 'zstd-magic', `bit ${bit}`);
    }
  });

  it('refuses content sizes that are too large, up to 64 bits', () => {
    const huge = [
      [1, 0, 2, 0, 0, 0, 0, 0],
      [5, 0, 0, 0, 1, 0, 0, 0],
      [255, 255, 255, 255, 255, 255, 255, 255],
    ];
    for (const fields of huge) {
      const frame = frameOf({ descriptor: 0xe0, fields, blocks: [rawBlock(FIVE)] });
      assert.equal(verdict(frame), 'zstd-content-too-large');
    }
  });

  it('adds the blocks up', () => {
    const rle = (size: number, isLast = true) =>
      blockOf({ type: BlockType.rle, size, body: [7], isLast });
    const cases: readonly (readonly [string, Uint8Array, string])[] = [
      ['two raw blocks', small(5, [rawBlock([1, 2], false), rawBlock([3, 4, 5])]), 'ok'],
      ['raw and run', small(5, [rawBlock([1, 2], false), rle(3)]), 'ok'],
      ['an empty last block', small(5, [rawBlock(FIVE, false), rawBlock([])]), 'ok'],
      ['a byte too few', small(6, [rawBlock(FIVE)]), 'zstd-sizes-differ'],
      ['a byte too many', small(6, [rawBlock(FIVE, false), rle(2)]), 'zstd-sizes-differ'],
      ['a run over the window', small(4, [rle(5)]), 'zstd-block-too-large'],
      ['a raw block over the window', small(4, [rawBlock(FIVE)]), 'zstd-block-too-large'],
      [
        'a reserved type',
        small(5, [blockOf({ type: 3, size: 5, body: FIVE })]),
        'zstd-reserved-block',
      ],
      ['no last block', small(5, [rawBlock(FIVE, false)]), 'zstd-truncated'],
      ['a byte behind', small(5, [rawBlock(FIVE), Uint8Array.of(0)]), 'zstd-trailing-bytes'],
      [
        'a frame behind',
        small(5, [rawBlock(FIVE), small(5, [rawBlock(FIVE)])]),
        'zstd-trailing-bytes',
      ],
      [
        'endless empty blocks',
        small(5, Array(40).fill(rawBlock([], false))),
        'zstd-frame-too-long',
      ],
      [
        'a compressed block of nothing',
        small(5, [blockOf({ type: 2, size: 0, body: [] })]),
        'zstd-corrupt',
      ],
      [
        'a compressed block of noise',
        small(5, [blockOf({ type: 2, size: 5, body: FIVE })]),
        'zstd-corrupt',
      ],
    ];
    for (const [name, frame, expected] of cases) assert.equal(verdict(frame), expected, name);
  });

  it('finds every truncation without the decoder', () => {
    for (const [name, { frame, content }] of frames) {
      assert.equal(verdict(frame), 'ok', name);
      for (let length = 0; length < frame.length; length++) {
        const cut = frame.subarray(0, length);
        assert.equal(verdict(cut, content.length), 'zstd-truncated', `${name} cut at ${length}`);
      }
    }
  });

  it('finds bytes behind the frame', () => {
    for (const [name, { frame }] of frames) {
      for (const more of [1, 2, 3, 4, 50]) {
        const code = verdict(Buffer.concat([frame, Buffer.alloc(more)]));
        assert.match(code, /^zstd-(trailing-bytes|frame-too-long)$/, `${name} + ${more}`);
      }
    }
  });

  it('agrees with libzstd on every frame with one flipped bit, or refuses it', () => {
    const codes = new Map<string, number>();
    for (const [name, { frame }] of frames) {
      for (let bit = 0; bit < frame.length * 8; bit++) {
        const turned = Uint8Array.from(frame);
        turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const native = nativeDecode(turned);
        const code = verdict(turned);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (code !== 'ok') continue;
        const own = decoder.decode(turned, { contentBytesMax: 128 * KIB });
        assert.ok(native?.equals(own), `${name}, bit ${bit}`);
      }
    }
    // The test is worth nothing when all flips end the same way.
    for (const code of ['ok', 'zstd-corrupt', 'zstd-magic', 'zstd-sizes-differ']) {
      assert.ok(codes.has(code), `none was ${code}: ${[...codes]}`);
    }
    assert.ok(!codes.has('zstd-trapped'));
  });

  it('has a code for each of its statuses', () => {
    const names = Object.entries(Status).filter(([name]) => name.startsWith('zstd'));
    assert.equal(new Set(names.map(([, status]) => status)).size, names.length);
    for (const [, status] of names) assert.match(new CoreError(status, '').code, /^zstd-/);
  });

  /** Content as libzstd inside Node reads it; undefined when it refuses. */
  function nativeDecode(frame: Uint8Array): Buffer | undefined {
    try {
      return zstdDecompressSync(frame, { maxOutputLength: 128 * KIB });
    } catch {
      // Its reason is not the question.
      return undefined;
    }
  }
});
