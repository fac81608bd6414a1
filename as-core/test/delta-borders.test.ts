import assert from 'node:assert/strict';
import { exactCopies, type Stretch } from '@keelos/as-core/delta-borders.ts';
import { checkCopies } from '@keelos/as-core/delta-copy.ts';
import fc from 'fast-check';

/** Few values, so that bytes are often equal by chance. */
const side = fc.uint8Array({ minLength: 1, maxLength: 200, max: 2 });

/** Stretches that lie inside both sides, one after the other. */
function stretchesIn(old: Uint8Array, fresh: Uint8Array, numbers: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  let at = 0;
  for (let index = 0; index + 2 < numbers.length; index += 3) {
    const [gap = 0, wanted = 0, place = 0] = numbers.slice(index, index + 3);
    const start = at + (gap % 8);
    const length = Math.min(1 + (wanted % 40), fresh.length - start, old.length);
    if (length < 1) break;
    const oldStart = place % (old.length - length + 1);
    stretches.push({ start, end: start + length, shift: oldStart - start });
    at = start + length;
  }
  return stretches;
}

describe('borders of copies', () => {
  it('stay in place and order, and leave no byte more to code', () => {
    fc.assert(
      fc.property(side, side, fc.array(fc.nat(1000), { maxLength: 24 }), (old, fresh, numbers) => {
        const before = stretchesIn(old, fresh, numbers);
        const copies = exactCopies(before, old, fresh);
        checkCopies(copies, old.length, fresh.length);
        const equalBefore = before.map(({ start, end, shift }) =>
          equals(old, fresh, [start, end, shift]),
        );
        const equalAfter = copies.map(({ newOffset, oldOffset, length }) =>
          equals(old, fresh, [newOffset, newOffset + length, oldOffset - newOffset]),
        );
        const score = (each: readonly { equal: number; other: number }[]) =>
          each.reduce((sum, { equal, other }) => sum + equal - other, 0);
        assert.ok(score(equalAfter) >= score(equalBefore));
      }),
      { numRuns: 2000 },
    );
  });

  it('go to where the bytes change', () => {
    const old = Buffer.from('....abcdefghijklmnop....ABCDEFGHIJKLMNOP....');
    const fresh = Buffer.from('abcdefghijkLMNOP');
    const copies = exactCopies(
      [
        { start: 2, end: 8, shift: 4 },
        { start: 8, end: 16, shift: 24 },
      ],
      old,
      fresh,
    );
    assert.deepEqual(copies, [
      { newOffset: 0, oldOffset: 4, length: 11 },
      { newOffset: 11, oldOffset: 35, length: 5 },
    ]);
  });

  it('leave a gap to nobody when both sides of it differ', () => {
    const old = Buffer.from('abcdefgh--------ijklmnop');
    const fresh = Buffer.from('abcdefghXXXXXXXXijklmnop');
    const copies = exactCopies(
      [
        { start: 0, end: 4, shift: 0 },
        { start: 20, end: 24, shift: 0 },
      ],
      old,
      fresh,
    );
    assert.deepEqual(copies, [
      { newOffset: 0, oldOffset: 0, length: 8 },
      { newOffset: 16, oldOffset: 16, length: 8 },
    ]);
  });
});

function equals(
  old: Uint8Array,
  fresh: Uint8Array,
  [start, end, shift]: readonly [number, number, number],
): { equal: number; other: number } {
  let equal = 0;
  for (let at = start; at < end; at++) if (old[at + shift] === fresh[at]) equal += 1;
  return { equal, other: end - start - equal };
}
