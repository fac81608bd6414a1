import assert from 'node:assert/strict';
import {
  isEnded,
  isInterruptible,
  UPDATE_TRANSITIONS,
  type UpdateEffect,
  type UpdateEvent,
  type UpdateState,
  updateTransition,
} from '@keelos/ts-agent/core/update-transitions.ts';

/** Effects of the rows that events lead through, from idle. */
function effectsOf(...events: readonly UpdateEvent[]): {
  readonly state: UpdateState;
  readonly effects: readonly UpdateEffect[];
} {
  let state: UpdateState = 'idle';
  const effects: UpdateEffect[] = [];
  for (const event of events) {
    const row = updateTransition(state, event);
    assert.ok(row, `${event} means nothing in state ${state}`);
    effects.push(...row.effects);
    state = row.to;
  }
  return { state, effects };
}

const WRITING: readonly UpdateEffect[] = [
  ...['disarm', 'write-root', 'name-slot', 'place-kernel-image', 'arm', 'record-trial'],
  ...['open-history'],
] as UpdateEffect[];

describe('the course of an update as a table', () => {
  it('an install does its effects in the order of record 0010', () => {
    const whole = effectsOf('start', 'done', 'done', 'done', 'done', 'done', 'done', 'reboot');
    assert.deepEqual(whole, {
      state: 'rebooting',
      effects: [
        ...['check-bundle', 'open-history', 'disarm', 'write-root', 'verify-root', 'name-slot'],
        ...['place-kernel-image', 'record-trial', 'arm', 'forget-resume'],
        ...['run-hooks', 'ask-reboot'],
      ],
    });
  });

  it('a rollback verifies and arms, and writes no root', () => {
    assert.deepEqual(effectsOf('go-back', 'done', 'done', 'done', 'reboot'), {
      state: 'rebooting',
      effects: [
        ...['check-other-slot', 'open-history', 'verify-root', 'name-slot', 'record-trial', 'arm'],
        ...['forget-resume', 'run-hooks', 'ask-reboot'],
      ],
    });
  });

  it('a dry run writes nothing', () => {
    const { state, effects } = effectsOf('start-dry', 'done');
    assert.equal(state, 'checked');
    assert.deepEqual(
      effects.filter((effect) => WRITING.includes(effect)),
      [],
    );
  });

  it('no path arms before the slot was verified, the trial recorded, and the history opened', () => {
    let paths = 0;
    const walk = (state: UpdateState, done: readonly UpdateEffect[], depth: number): void => {
      paths += 1;
      if (depth === 0) return;
      for (const row of UPDATE_TRANSITIONS.filter(({ from }) => from === state)) {
        const after = [...done, ...row.effects];
        const armed = after.indexOf('arm');
        for (const before of ['verify-root', 'record-trial', 'open-history'] as const) {
          const at = after.indexOf(before);
          assert.ok(armed < 0 || (at >= 0 && at < armed), `${before} before arm: ${after}`);
        }
        walk(row.to, after, depth - 1);
      }
    };
    walk('idle', [], 10);
    assert.ok(paths > 40, `${paths} paths`);
  });

  it('whatever begins can fail, and what has written says so in the history', () => {
    const running = [...new Set(UPDATE_TRANSITIONS.map(({ to }) => to))].filter(
      (state) => !isEnded(state) && state !== 'armed' && state !== 'rebooting',
    );
    assert.equal(running.length, 11);
    for (const state of running) {
      const row = updateTransition(state, 'fail');
      const isArming = ['arming', 'unarming', 'undoing'].includes(state);
      // What stands of an entry goes first, and an entry that does not go keeps its record.
      const to = state === 'arming' ? 'undoing' : isArming ? 'armed' : 'failed';
      assert.equal(row?.to, to, state);
      const isSilent = isArming || ['reading', 'inspecting'].includes(state);
      assert.equal(row?.effects.includes('close-history'), !isSilent, state);
      assert.equal(isInterruptible(state), !isArming, state);
    }
    const undone = updateTransition('undoing', 'done');
    assert.deepEqual([undone?.to, undone?.effects], ['failed', ['close-history', 'forget-trial']]);
  });

  it('each event means one thing in a state, and ended states take none but a start', () => {
    const keys = UPDATE_TRANSITIONS.map(({ from, event }) => `${from} ${event}`);
    assert.equal(new Set(keys).size, keys.length);
    for (const { from } of UPDATE_TRANSITIONS) assert.ok(from === 'idle' || !isEnded(from), from);
  });
});
