import assert from 'node:assert/strict';
import { judgeAgent } from '../src/core/agent-rescue.ts';
import { watchAgent } from '../src/shell/agent-watch.ts';
import { createFakeMachine } from './fake-machine.ts';

const MINUTE_MS = 60_000;

describe('an agent that never gets up', () => {
  const cases: readonly [
    minutes: number,
    failures: number,
    hasAnswered: boolean,
    result: string,
  ][] = [
    [0, 0, false, 'look-again 900000'],
    [5, 100, false, 'look-again 600000'],
    [14.99, 10, false, 'look-again 600'],
    [15, 10, false, 'restart-machine'],
    [15, 9, false, 'look-again 60000'],
    [15, 0, false, 'look-again 60000'],
    [29.99, 0, false, 'look-again 60000'],
    [30, 0, false, 'restart-machine'],
    [1000, 10, false, 'restart-machine'],
    [15, 10, true, 'trust'],
    [0, 0, true, 'trust'],
  ];
  for (const [minutes, failures, hasAnswered, result] of cases) {
    const answers = hasAnswered ? 'answered' : 'silent';
    it(`${minutes} min, ${failures} failures, ${answers}: ${result}`, () => {
      const sinceBootMs = Math.round(minutes * MINUTE_MS);
      const verdict = judgeAgent({ sinceBootMs, failures, hasAnswered });
      const afterMs = verdict.action === 'look-again' ? ` ${verdict.afterMs}` : '';
      assert.equal(verdict.action + afterMs, result);
    });
  }

  it('restarts the machine once, when enough failures are there', async () => {
    const machine = createFakeMachine();
    const reasons: string[] = [];
    let failures = 9;
    watchAgent(machine, {
      answers: new Promise(() => {}),
      failures: () => failures,
      restartMachine: (reason) => reasons.push(reason),
    });
    await machine.clock.advance(20 * MINUTE_MS);
    assert.deepEqual(reasons, []);
    failures = 10;
    await machine.clock.advance(5 * MINUTE_MS);
    assert.deepEqual(reasons, ['the agent has failed 10 times and never answered']);
  });
});
