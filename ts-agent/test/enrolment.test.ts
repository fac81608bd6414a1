import assert from 'node:assert/strict';
import type { EnrolmentState } from '@keelos/ts-agent/core/enrolment.ts';
import {
  freshToken,
  LOCK_MS_FIRST,
  LOCK_MS_MAX,
  NO_TOKEN,
  normalizedToken,
  offerToken,
  TOKEN_CHARS,
  TOKEN_LIFETIME_MS,
  TRIES_BEFORE_LOCK,
  tokenFromRandom,
} from '@keelos/ts-agent/core/enrolment.ts';
import fc from 'fast-check';

const TOKEN = tokenFromRandom(Uint8Array.from({ length: TOKEN_CHARS }, (_, index) => index * 13));
const OTHER = tokenFromRandom(new Uint8Array(TOKEN_CHARS));

function offers(state: EnrolmentState, ...tries: readonly (readonly [string, number])[]): string[] {
  let current = state;
  return tries.map(([token, atMs]) => {
    const { state: next, outcome } = offerToken(current, token, atMs);
    current = next;
    return outcome.kind;
  });
}

describe('enrolment token', () => {
  it('has the form that people can read out', () => {
    assert.match(TOKEN, /^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}$/);
  });

  it('works once', () => {
    assert.deepEqual(offers(freshToken(TOKEN, 0), [TOKEN, 1], [TOKEN, 2], [OTHER, 3]), [
      'accepted',
      'used',
      'wrong',
    ]);
  });

  it('expires to the millisecond', () => {
    const state = freshToken(TOKEN, 1_000);
    assert.deepEqual(offers(state, [TOKEN, 1_000 + TOKEN_LIFETIME_MS - 1]), ['accepted']);
    assert.deepEqual(offers(state, [TOKEN, 1_000 + TOKEN_LIFETIME_MS]), ['expired']);
  });

  it('is not there when none was made', () => {
    assert.deepEqual(offers(NO_TOKEN, [TOKEN, 0], ['', 0]), ['none', 'none']);
  });

  it('after five wrong tries further wrong ones wait, longer each time, and the right one never', () => {
    const wrong: [string, number][] = Array.from({ length: TRIES_BEFORE_LOCK }, () => [OTHER, 0]);
    const secondLockMs = LOCK_MS_FIRST * 2;
    assert.deepEqual(
      offers(
        freshToken(TOKEN, 0),
        ...wrong,
        [OTHER, LOCK_MS_FIRST - 1],
        [OTHER, LOCK_MS_FIRST],
        [OTHER, LOCK_MS_FIRST + secondLockMs - 1],
        [OTHER, LOCK_MS_FIRST + secondLockMs],
      ),
      ['wrong', 'wrong', 'wrong', 'wrong', 'wrong', 'locked', 'wrong', 'locked', 'wrong'],
    );
    assert.equal(offers(freshToken(TOKEN, 0), ...wrong, [TOKEN, 1]).at(-1), 'accepted');
  });

  it('is accepted in every way of writing it down', () => {
    const written = fc.array(fc.constantFrom('', ' ', '-', '\t'), { minLength: 24, maxLength: 24 });
    fc.assert(
      fc.property(written, fc.boolean(), (gaps, isLower) => {
        const text = [...TOKEN].map((char, index) => char + (gaps[index] ?? '')).join('');
        const offered = isLower ? text.toLowerCase() : text;
        assert.equal(normalizedToken(offered), TOKEN.replaceAll('-', ''));
        assert.deepEqual(offers(freshToken(TOKEN, 0), [offered, 1]), ['accepted']);
      }),
    );
    assert.equal(normalizedToken('oOiIlL'), '001111');
  });

  it('whatever is tried, is accepted at most once, never late; only wrong ones are locked out', () => {
    const step = fc.record({
      isRight: fc.boolean(),
      waitMs: fc.integer({ min: 0, max: LOCK_MS_MAX }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let state = freshToken(TOKEN, 0);
        let nowMs = 0;
        let accepted = 0;
        for (const { isRight, waitMs } of steps) {
          nowMs += waitMs;
          const before = state;
          const { state: next, outcome } = offerToken(before, isRight ? TOKEN : OTHER, nowMs);
          if (outcome.kind === 'accepted') {
            accepted += 1;
            assert.ok(isRight && nowMs < TOKEN_LIFETIME_MS);
          }
          if (outcome.kind === 'locked') {
            assert.equal(next, before);
            assert.ok(!isRight);
          }
          if (outcome.kind === 'used' || outcome.kind === 'expired') assert.ok(isRight);
          assert.ok(next.lockedUntilMs - nowMs <= LOCK_MS_MAX);
          state = next;
        }
        assert.ok(accepted <= 1);
      }),
    );
  });
});
