import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodePatch, type PatchInput, type Span } from '../src/delta-patch.ts';
import { PatchDecoder } from '../src/delta-patch-decoder.ts';
import { compileModule } from '../src/load.ts';
import { CoreError } from '../src/status.ts';
import { anyInput, bytesOf, inputOf, numbersOf } from './delta-patch-samples.ts';

describe('patch coder', function () {
  this.timeout(240_000);

  let module: WebAssembly.Module;
  before(async () => {
    module = await compileModule('delta-coder');
  });

  interface Feed {
    readonly old: Uint8Array;
    /** Bytes that are given and taken at a time. */
    readonly streamBytes?: number;
    readonly readBytes?: number;
  }

  function decoderOf(stream: Uint8Array, { old, streamBytes = 2 ** 20 }: Feed): PatchDecoder {
    let place = 0;
    return new PatchDecoder(module, {
      oldBytes: old.length,
      readOld: (offset, target) => {
        assert.ok(offset + target.length <= old.length, 'reads outside the old bytes');
        target.set(old.subarray(offset, offset + target.length));
      },
      readStream: (target) => {
        const some = stream.subarray(place, place + Math.min(target.length, streamBytes));
        target.set(some);
        place += some.length;
        return some.length;
      },
    });
  }

  function decode(stream: Uint8Array, length: number, feed: Feed): Uint8Array {
    const decoder = decoderOf(stream, feed);
    const made = new Uint8Array(length);
    const step = feed.readBytes ?? 2 ** 20;
    for (let at = 0; at < length; at += step) decoder.read(made.subarray(at, at + step));
    decoder.finish();
    return made;
  }

  /** The status that a stream is refused with, or "right" or "wrong" for bytes that were taken. */
  function verdict(stream: Uint8Array, { old, new: fresh }: PatchInput): string {
    try {
      return Buffer.compare(decode(stream, fresh.length, { old }), fresh) === 0 ? 'right' : 'wrong';
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      return error.code;
    }
  }

  it('makes the new bytes again, however they are asked for', () => {
    fc.assert(
      fc.property(anyInput, fc.nat(5000), fc.nat(200_000), (input, streamBytes, readBytes) => {
        const stream = encodePatch(module, input);
        const feed = { old: input.old, streamBytes: streamBytes + 1, readBytes: readBytes + 1 };
        assert.deepEqual(decode(stream, input.new.length, feed), new Uint8Array(input.new));
      }),
      { numRuns: 25 },
    );
  });

  it('makes only the bytes of the spans', () => {
    const input = inputOf(
      bytesOf(150_000, 9),
      [
        { from: 0, length: 90_000, extra: 70, every: 900 },
        { from: 20_000, length: 120_000, extra: 0, every: 1100 },
      ],
      4,
    );
    const anySpans = fc.uniqueArray(fc.nat(input.new.length), { minLength: 4, maxLength: 12 });
    fc.assert(
      fc.property(anySpans, (borders) => {
        borders.sort((a, b) => a - b);
        const spans: Span[] = [];
        for (let index = 1; index < borders.length; index += 2) {
          const [offset = 0, end = 0] = borders.slice(index - 1, index + 1);
          spans.push({ offset, length: end - offset });
        }
        const wanted = Buffer.concat(
          spans.map(({ offset, length }) => input.new.subarray(offset, offset + length)),
        );
        const stream = encodePatch(module, { ...input, spans });
        assert.deepEqual(decode(stream, wanted.length, input), new Uint8Array(wanted));
      }),
      { numRuns: 12 },
    );
  });

  const old = bytesOf(3000, 7);
  const small = inputOf(
    old,
    [
      { from: 0, length: 900, extra: 20, every: 100 },
      { from: 1200, length: 700, extra: 0, every: 0 },
      { from: 800, length: 300, extra: 5, every: 40 },
    ],
    3,
  );

  it('refuses every truncation and every byte too many', () => {
    const stream = encodePatch(module, small);
    assert.equal(verdict(stream, small), 'right');
    for (let length = 0; length < stream.length; length++) {
      assert.equal(verdict(stream.subarray(0, length), small), 'delta-patch-end', `${length}`);
    }
    for (const more of [1, 2, 5, 3000]) {
      const longer = Buffer.concat([stream, Buffer.alloc(more)]);
      assert.equal(verdict(longer, small), 'delta-patch-end', `${more}`);
    }
  });

  it('accepts no wrong byte and stops at no trap, whatever is changed in a patch', () => {
    const stream = encodePatch(module, small);
    const next = numbersOf(11);
    const seen = new Map<string, number>();
    for (let round = 0; round < 1500; round++) {
      const changed = stream.slice();
      const flips = round < stream.length * 8 ? 1 : 1 + (next() % 3);
      for (let flip = 0; flip < flips; flip++) {
        const bit = round < stream.length * 8 ? round : next() % (stream.length * 8);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      }
      const found = verdict(changed, small);
      seen.set(found, (seen.get(found) ?? 0) + 1);
    }
    const all = [...seen.keys()].join();
    assert.ok(!seen.has('wrong') && !seen.has('delta-trap'), all);
    assert.ok(seen.has('delta-patch-head') && seen.has('delta-patch-content'), all);
  });

  it('stops at no trap on noise', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const noise = bytesOf(100 + seed * 7, seed);
      noise[0] = 0;
      const found = verdict(noise, small);
      assert.match(found, /^delta-(version|patch-\w+)$/, `seed ${seed}`);
    }
  });

  it('refuses other old bytes', () => {
    const stream = encodePatch(module, small);
    const other = bytesOf(3000, 8);
    assert.equal(verdict(stream, { ...small, old: other }), 'delta-patch-content');
    assert.equal(verdict(stream, { ...small, old: old.subarray(1) }), 'delta-patch-head');
  });

  it('passes on what reading throws', () => {
    const stream = encodePatch(module, small);
    const decoder = new PatchDecoder(module, {
      oldBytes: old.length,
      readOld: () => {
        throw new Error('disk on fire');
      },
      readStream: (target) => {
        target.set(stream);
        return stream.length;
      },
    });
    assert.throws(() => decoder.read(new Uint8Array(10)), /disk on fire/);
  });

  it('has the memory that its areas need', () => {
    const host = { readOld: () => 0 };
    const exports = new WebAssembly.Instance(module, { host }).exports as Readonly<{
      memoryEnd(): number;
      memory: WebAssembly.Memory;
    }>;
    assert.ok(exports.memoryEnd() <= exports.memory.buffer.byteLength);
  });

  it('costs next to nothing where nothing changed', () => {
    const same = inputOf(
      bytesOf(500_000, 5),
      [{ from: 0, length: 500_000, extra: 0, every: 0 }],
      1,
    );
    const stream = encodePatch(module, same);
    assert.ok(stream.length < 60, `${stream.length} bytes`);
  });

  it('takes no input that is out of order', () => {
    const bad: readonly Partial<PatchInput>[] = [
      { copies: [{ newOffset: 0, oldOffset: 2900, length: 200 }] },
      {
        spans: [
          { offset: 5, length: 10 },
          { offset: 14, length: 1 },
        ],
      },
      { spans: [{ offset: 0, length: small.new.length + 1 }] },
    ];
    for (const part of bad) {
      assert.throws(() => encodePatch(module, { ...small, ...part }), RangeError);
    }
  });
});
