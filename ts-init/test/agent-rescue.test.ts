import assert from 'node:assert/strict';
import { judgeAgent } from '../src/core/agent-rescue.ts';
import { watchAgent } from '../src/shell/agent-watch.ts';
import { createFakeMachine } from './fake-machine.ts';

const MINUTE_MS = 60_000;

describe('an agent that never gets up', () => {
  const cases: readonly [
    minutes: number,
    failures: number,
    lastWord: number | undefined,
    result: string,
  ][] = [
    [0, 0, undefined, 'look-again 900000'],
    [5, 100, undefined, 'look-again 600000'],
    [14.99, 10, undefined, 'look-again 600'],
    [15, 10, undefined, 'restart-machine'],
    [15, 9, undefined, 'look-again 60000'],
    [15, 0, undefined, 'look-again 60000'],
    [29.99, 0, undefined, 'look-again 60000'],
    [30, 0, undefined, 'restart-machine'],
    [1000, 10, undefined, 'restart-machine'],
    [15, 10, 14.5, 'look-again 60000'],
    [1, 0, 1, 'look-again 60000'],
    [1000, 90, 999, 'look-again 60000'],
    [129.99, 90, 100, 'look-again 60000'],
    [130, 0, 100, 'restart-machine'],
  ];
  for (const [minutes, failures, lastWord, result] of cases) {
    const heard = lastWord === undefined ? 'never heard of' : `heard of at ${lastWord} min`;
    it(`${minutes} min, ${failures} failures, ${heard}: ${result}`, () => {
      const sinceBootMs = Math.round(minutes * MINUTE_MS);
      const lastWordMs = lastWord === undefined ? undefined : Math.round(lastWord * MINUTE_MS);
      const verdict = judgeAgent({ sinceBootMs, failures, lastWordMs });
      const afterMs = verdict.action === 'look-again' ? ` ${verdict.afterMs}` : '';
      assert.equal(verdict.action + afterMs, result);
    });
  }

  it('restarts the machine once, when enough failures are there', async () => {
    const machine = createFakeMachine();
    const reasons: string[] = [];
    let failures = 9;
    watchAgent(machine, {
      lastWordMs: () => undefined,
      failures: () => failures,
      restartMachine: (reason) => reasons.push(reason),
    });
    await machine.clock.advance(20 * MINUTE_MS);
    assert.deepEqual(reasons, []);
    failures = 10;
    await machine.clock.advance(5 * MINUTE_MS);
    assert.deepEqual(reasons, ['the agent has failed 10 times and was never there']);
  });
});
