import assert from 'node:assert/strict';
import { editDistance, nearest } from '@keelos/proto/suggestion.ts';
import fc from 'fast-check';

describe('suggestions', () => {
  const distances: readonly (readonly [string, string, number])[] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['hostnam', 'hostname', 1],
    ['hsotname', 'hostname', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3],
  ];
  for (const [from, to, distance] of distances) {
    it(`counts ${distance} edits from "${from}" to "${to}"`, () => {
      assert.equal(editDistance(from, to), distance);
    });
  }

  it('counts the same both ways, and nothing only for equal words', () => {
    const words = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    fc.assert(
      fc.property(words, words, (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a));
        assert.equal(editDistance(a, b) === 0, a === b);
        assert(editDistance(a, b) <= Math.max(a.length, b.length));
      }),
    );
  });

  const words = ['hostname', 'network', 'time', 'consoleToken'];
  const meant: readonly (readonly [string, string | undefined])[] = [
    ['hostnam', 'hostname'],
    ['host_name', 'hostname'],
    ['Network', 'network'],
    ['console-token', 'consoleToken'],
    ['tmie', 'time'],
    ['zzzz', undefined],
    ['x', undefined],
    ['x'.repeat(10_000), undefined],
  ];
  for (const [word, expected] of meant) {
    it(`${expected === undefined ? 'has no' : `takes ${expected} as`} suggestion for ${word.slice(0, 20)}`, () => {
      assert.equal(nearest(word, words), expected);
    });
  }
});
