import assert from 'node:assert/strict';
import { inTurn, megabytesPerSecond } from '../rounds.ts';

describe('rounds', () => {
  it('take turns, begin with another one each time, and forget the first round', async () => {
    const order: string[] = [];
    const contender = (name: string) => async () => {
      order.push(name);
      return order.length;
    };
    const values = await inTurn(3, { a: contender('a'), b: contender('b'), c: contender('c') });
    assert.equal(order.join(''), 'cababcbcacab');
    assert.deepEqual(values, { a: [4, 9, 11], b: [5, 7, 12], c: [6, 8, 10] });
  });

  it('take the time where a contender has no measure of its own', async () => {
    const wait = () => new Promise<undefined>((done) => setTimeout(() => done(undefined), 20));
    const { a } = await inTurn(2, { a: wait });
    assert.equal(a.length, 2);
    for (const seconds of a) assert.ok(seconds > 0.015 && seconds < 10, String(seconds));
  });

  it('turn seconds into speeds', () => {
    assert.deepEqual(megabytesPerSecond(3_000_000, [1, 2]), [3, 1.5]);
  });
});
