import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type Copy, checkCopies } from '@keelos/as-core/delta-copy.ts';
import { createDeltaMatcher, type DeltaMatcher } from '@keelos/as-core/delta-match.ts';
import fc from 'fast-check';

/** Bytes that nothing resembles. */
function noise(length: number, seed: number): Buffer {
  const pieces = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(`${seed} ${index}`).digest(),
  );
  return Buffer.concat(pieces).subarray(0, length);
}

/** New bytes that a copy list leaves to be coded: those that differ, and those that no copy has. */
function leftBytes(copies: readonly Copy[], old: Uint8Array, fresh: Uint8Array): number {
  let left = fresh.length;
  for (const { newOffset, oldOffset, length } of copies) {
    for (let at = 0; at < length; at++) {
      if (old[oldOffset + at] === fresh[newOffset + at]) left -= 1;
    }
  }
  return left;
}

/** A change of a side: what is put in place of `gone` bytes at a fraction of its length. */
interface Edit {
  readonly at: number;
  readonly gone: number;
  readonly put: number;
}

function edited(old: Buffer, edits: readonly Edit[]): Buffer {
  let fresh = old;
  for (const [index, { at, gone, put }] of edits.entries()) {
    const place = Math.floor(at * fresh.length);
    const behind = fresh.subarray(Math.min(fresh.length, place + gone));
    fresh = Buffer.concat([fresh.subarray(0, place), noise(put, 1000 + index), behind]);
  }
  return fresh;
}

/** Changes a byte of every `period`. */
function speckled(bytes: Uint8Array, period: number): Buffer {
  return Buffer.from(bytes.map((byte, at) => (at % period === 7 ? byte ^ 0x55 : byte)));
}

describe('matcher of deltas', () => {
  let matcher: DeltaMatcher;

  before(async () => {
    matcher = await createDeltaMatcher();
  });

  function match(old: Uint8Array, fresh: Uint8Array): Copy[] {
    const copies = matcher.match(old, fresh);
    checkCopies(copies, old.length, fresh.length);
    return copies;
  }

  it('copies equal bytes in one piece, whatever their number', () => {
    for (const length of [16, 17, 31, 32, 33, 1000, 100_003]) {
      const bytes = noise(length, 1);
      const copies = match(bytes, bytes);
      assert.deepEqual(copies, [{ newOffset: 0, oldOffset: 0, length }]);
    }
  });

  it('takes sides that are empty or shorter than a block', () => {
    for (let length = 0; length < 40; length++) {
      const bytes = noise(length, 2);
      assert.deepEqual(match(new Uint8Array(0), bytes), []);
      assert.deepEqual(match(bytes, new Uint8Array(0)), []);
      match(bytes, bytes);
      match(bytes, noise(20, 3));
    }
  });

  it('copies nothing of what is not there', () => {
    assert.deepEqual(match(noise(50_000, 4), noise(50_000, 5)), []);
  });

  it('finds the border of what was put in, to the byte', () => {
    const old = noise(60_000, 6);
    for (const put of [1, 2, 3, 5, 16, 23, 1000]) {
      const fresh = edited(old, [{ at: 0.37, gone: 0, put }]);
      const copies = match(old, fresh);
      assert.equal(copies.length, 2, `${put}`);
      assert.ok(leftBytes(copies, old, fresh) <= put, `${put}`);
    }
  });

  it('leaves no more than the edits, and a little at each', () => {
    const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
    const edit = fc.record({ at: fraction, gone: fc.nat(2000), put: fc.nat(500) });
    fc.assert(
      fc.property(fc.nat(100), fc.array(edit, { maxLength: 12 }), (seed, edits) => {
        const old = noise(40_000, seed);
        const fresh = edited(old, edits);
        const allowed = edits.reduce((sum, { put }) => sum + put + 64, 0);
        assert.ok(leftBytes(match(old, fresh), old, fresh) <= allowed);
      }),
      { numRuns: 60 },
    );
  });

  it('finds pieces that moved far, in another order', () => {
    const pieces = Array.from({ length: 20 }, (_, index) => noise(3000 + 17 * index, 50 + index));
    const old = Buffer.concat(pieces);
    const fresh = Buffer.concat(pieces.toReversed());
    const copies = match(old, fresh);
    assert.equal(copies.length, pieces.length);
    assert.ok(leftBytes(copies, old, fresh) <= 16 * pieces.length);
  });

  it('sees through changed bytes that leave no window whole', () => {
    const old = noise(40_000, 7);
    const moved = edited(old, [{ at: 0.5, gone: 0, put: 40 }]);
    const fresh = speckled(moved, 20);
    const copies = match(old, fresh);
    assert.equal(copies.length, 2);
    assert.ok(leftBytes(copies, old, fresh) <= fresh.length / 20 + 64);
  });

  it('stays with its shift through what repeats itself', () => {
    const zeros = Buffer.alloc(50_000);
    const old = Buffer.concat([noise(5000, 8), zeros, noise(5000, 9), zeros, noise(5000, 10)]);
    assert.deepEqual(match(old, old).length, 1);
    const text = Buffer.from('all work and no play makes a dull text. '.repeat(2000));
    assert.deepEqual(match(text, speckled(text, 90)).length, 1);
  });

  it('takes less memory when it must, and refuses when it cannot', () => {
    const old = noise(400_000, 11);
    const fresh = edited(old, [{ at: 0.2, gone: 30, put: 3 }]);
    for (const memoryBytesMax of [2_700_000, 3_000_000, 8_000_000]) {
      const copies = matcher.match(old, fresh, { memoryBytesMax });
      assert.equal(copies.length, 2, `${memoryBytesMax}`);
    }
    assert.throws(() => matcher.match(old, fresh, { memoryBytesMax: 1_500_000 }), RangeError);
  });
});
