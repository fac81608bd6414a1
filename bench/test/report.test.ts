import assert from 'node:assert/strict';
import fc from 'fast-check';
import { figure, figureText, median, ratioOf, spread } from '../report.ts';

describe('report', () => {
  it('median: the middle one, or the mean of the two middle ones', () => {
    const table: [number[], number][] = [
      [[5], 5],
      [[3, 1], 2],
      [[9, 1, 5], 5],
      [[4, 1, 3, 2], 2.5],
      [[10, 9, 100], 10], // sorted as numbers, not as text
    ];
    for (const [values, expected] of table) assert.equal(median(values), expected);
  });

  it('refuses what is not a measure', () => {
    for (const values of [[], [Number.NaN], [-1], [Number.POSITIVE_INFINITY]]) {
      assert.throws(() => median(values), RangeError);
    }
  });

  it('ratio says how many times better, whatever the direction', () => {
    assert.equal(ratioOf(2, 4, 'lower'), 2);
    assert.equal(ratioOf(4, 2, 'lower'), 0.5);
    assert.equal(ratioOf(2, 4, 'higher'), 0.5);
    assert.equal(ratioOf(4, 2, 'higher'), 2);
    assert.equal(ratioOf(0, 2, 'lower'), null);
  });

  it('ratio above 1 means better, for every pair of values', () => {
    const positive = fc.double({ min: 0.001, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(positive, positive, (own, rival) => {
        assert.equal((ratioOf(own, rival, 'lower') ?? 0) > 1, own < rival);
        assert.equal((ratioOf(own, rival, 'higher') ?? 0) > 1, own > rival);
      }),
    );
  });

  it('spread is relative to the median', () => {
    assert.equal(spread([10]), 0);
    assert.equal(spread([9, 10, 12]), 0.3);
    assert.equal(spread([0, 0, 0]), 0);
  });

  it('a figure has exactly the keys of the contract, with and without a rival', () => {
    const input = {
      bench: 'boot',
      name: 'x',
      unit: 's',
      better: 'lower',
      values: [3, 6, 6],
    } as const;
    const keys = 'bench name value unit rival rivalValue ratio runs spread'.split(' ');
    const alone = figure(input);
    assert.deepEqual(Object.keys(alone), keys);
    assert.deepEqual([alone.rival, alone.rivalValue, alone.ratio], [null, null, null]);
    const compared = figure({ ...input, rival: { name: 'empty init', values: [2, 2, 8] } });
    assert.deepEqual(Object.keys(compared), keys);
    assert.deepEqual([compared.value, compared.rivalValue, compared.ratio], [6, 2, 0.3333]);
    assert.equal(compared.runs, 3);
    assert.equal(compared.spread, 0.5);
    const bytes = { bench: 'delta', name: 'bytes', unit: 'bytes', better: 'lower' } as const;
    assert.match(
      figureText(figure({ ...bytes, values: [40_541] })),
      /^delta\/bytes: 40541 bytes \(/,
    );
    assert.match(
      figureText(figure({ ...bytes, values: [92_192_768] })),
      /^delta\/bytes: 92\.2 MB \(/,
    );
    assert.match(figureText(compared), /^boot\/x: 6 s; empty init: 2 s; 0\.3333 times as good/);
  });
});
