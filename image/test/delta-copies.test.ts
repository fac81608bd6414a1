/** What copy lists are worth, and what is left of them without some pieces. */
import assert from 'node:assert/strict';
import type { Copy } from '@keelos/as-core/delta-copy.ts';
import type { Piece } from '@keelos/as-core/delta-layout.ts';
import {
  joinedCopies,
  keptCopies,
  spansOf,
  unlikePieces,
} from '@keelos/image/core/delta-copies.ts';
import fc from 'fast-check';
import { noise, program } from './delta-samples.ts';

const BLOCK = 20_000;

function pieceOf(unpackedPlace: number, packedBytes: number, unpackedBytes = BLOCK): Piece {
  return { kind: 'data', place: 0, packedBytes, unpackedPlace, unpackedBytes };
}

describe('pieces that are like nothing in the source', () => {
  const old = program(BLOCK, 1);
  const changed = Buffer.from(old);
  changed.write('another text', 5000);
  const rows: readonly (readonly [
    name: string,
    patched: Buffer,
    copies: readonly Copy[],
    packedBytes: number,
    isUnlike: boolean,
  ])[] = [
    ['with few changes', changed, [{ newOffset: 0, oldOffset: 0, length: BLOCK }], 9000, false],
    ['that are new', program(BLOCK, 2), [], 9000, true],
    ['that are noise', noise(BLOCK, 2), [], BLOCK, true],
    [
      'that are noise over copies',
      noise(BLOCK, 2),
      [{ newOffset: 0, oldOffset: 0, length: BLOCK }],
      BLOCK,
      true,
    ],
    [
      'of which a third of the bytes changed',
      program(BLOCK, 2),
      [{ newOffset: 0, oldOffset: 0, length: BLOCK }],
      9000,
      true,
    ],
    ['that are new and almost nothing', Buffer.alloc(BLOCK, 7), [], 9000, false],
    [
      'that are packed smaller than any patch',
      changed,
      [{ newOffset: 0, oldOffset: 0, length: BLOCK }],
      10,
      true,
    ],
  ];
  for (const [name, patched, copies, packedBytes, isUnlike] of rows) {
    it(`are ${isUnlike ? '' : 'not '}those ${name}`, () => {
      const piece = pieceOf(0, packedBytes);
      const unlike = unlikePieces({ old, patched }, { copies, pieces: [{ piece, start: 0 }] });
      assert.equal(unlike.has(piece), isUnlike);
    });
  }

  it('are told apart, each by its own copies', () => {
    const patched = Buffer.concat([changed, noise(BLOCK, 3), changed]);
    const pieces = [0, 1, 2].map((at) => ({
      piece: pieceOf(at * BLOCK, 9000),
      start: at * BLOCK,
    }));
    const copies = [
      { newOffset: 0, oldOffset: 0, length: BLOCK },
      { newOffset: 2 * BLOCK, oldOffset: 0, length: BLOCK },
    ];
    const unlike = unlikePieces({ old, patched }, { copies, pieces });
    assert.deepEqual(
      pieces.map(({ piece }) => unlike.has(piece)),
      [false, true, false],
    );
  });
});

/** Copies as a map from each new byte to its old one. */
function bytesOf(copies: readonly Copy[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { newOffset, oldOffset, length } of copies) {
    for (let at = 0; at < length; at++) bytes.set(newOffset + at, oldOffset + at);
  }
  return bytes;
}

describe('copies', () => {
  const steps = fc.array(
    fc.record({ gap: fc.nat(3), length: fc.integer({ min: 1, max: 9 }), oldOffset: fc.nat(100) }),
    { maxLength: 20 },
  );
  const placed = (list: readonly { gap: number; length: number; oldOffset: number }[]): Copy[] => {
    let end = 0;
    return list.map(({ gap, length, oldOffset }) => {
      const newOffset = end + gap;
      end = newOffset + length;
      return { newOffset, oldOffset, length };
    });
  };

  it('that are kept are those of the stretches, byte for byte', () => {
    fc.assert(
      fc.property(steps, steps, (some, others) => {
        const copies = placed(some);
        const stretches = placed(others).map(({ newOffset: start, oldOffset, length }, index) => ({
          ...{ start, length },
          newStart: start + 1000 * (index + 1) + oldOffset,
        }));
        const all = bytesOf(copies);
        const expected = new Map<number, number>();
        for (const { start, length, newStart } of stretches) {
          for (let at = 0; at < length; at++) {
            const old = all.get(start + at);
            if (old !== undefined) expected.set(newStart + at, old);
          }
        }
        assert.deepEqual(bytesOf(keptCopies(copies, stretches)), expected);
      }),
    );
  });

  it('that are joined are sorted, the same bytes, and as few as can be', () => {
    fc.assert(
      fc.property(steps, (some) => {
        const copies = placed(some);
        const [even, odd] = [0, 1].map((rest) => copies.filter((_, at) => at % 2 === rest));
        const joined = joinedCopies(odd ?? [], even ?? []);
        assert.deepEqual(bytesOf(joined), bytesOf(copies));
        for (const [index, { newOffset, oldOffset }] of joined.entries()) {
          const before = joined[index - 1];
          if (before === undefined) continue;
          const end = before.newOffset + before.length;
          assert.ok(newOffset >= end);
          assert.ok(newOffset > end || oldOffset !== before.oldOffset + before.length);
        }
      }),
    );
  });

  it('have spans that follow each other as one', () => {
    const spans = spansOf([pieceOf(10, 1, 5), pieceOf(15, 1, 5), pieceOf(21, 1, 2)]);
    assert.deepEqual(spans, [
      { offset: 10, length: 10 },
      { offset: 21, length: 2 },
    ]);
  });
});
