/**
 * The one-time enrolment token as a state machine: fresh -> used | expired, and no further guesses for a while after wrong ones.
 *
 * Pure: the clock is an argument, and has to be a monotonic one, so that setting the time neither extends nor ends a token.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import type { RecordKind } from '@keelos/proto/state-record.ts';

/** Characters of a token: Crockford's base 32, which has no I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** Characters of a token; 5 bits each make 100 bits. */
export const TOKEN_CHARS = 20;
/** Characters between dashes on the console. */
const GROUP_CHARS = 4;
/** Lifetime of a token. */
export const TOKEN_LIFETIME_MS = 15 * 60_000;
/** Wrong tries before the first lock. */
export const TRIES_BEFORE_LOCK = 5;
/** First lock; each further wrong try doubles it. */
export const LOCK_MS_FIRST = 10_000;
/** Longest lock. */
export const LOCK_MS_MAX = 120_000;
/** Longest text that is looked at. */
const OFFERED_CHARS_MAX = 128;

/** Record of a boot's token, which outlives the agent and not the boot. */
export const ENROLMENT_RECORD: RecordKind = { kind: 'enrolment', version: 1 };

/** Everything that is remembered of a token; the token itself is not. */
export interface EnrolmentState {
  /** SHA-256 of the token's characters; undefined when no token was made at this boot. */
  readonly tokenHash: Uint8Array | undefined;
  readonly isUsed: boolean;
  /** Monotonic milliseconds. */
  readonly expiresAtMs: number;
  readonly wrongTries: number;
  /** Monotonic milliseconds; 0 when never locked. */
  readonly lockedUntilMs: number;
}

/** What an offered token is worth. */
export type EnrolmentOutcome =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'wrong' | 'used' | 'expired' | 'none' }
  | { readonly kind: 'locked'; readonly retryAfterMs: number };

/** State on a node that prints no token at this boot. */
export const NO_TOKEN: EnrolmentState = {
  tokenHash: undefined,
  isUsed: false,
  expiresAtMs: 0,
  wrongTries: 0,
  lockedUntilMs: 0,
};

/** A token from {@link TOKEN_CHARS} random bytes, in the form that the console shows: XXXX-XXXX-XXXX-XXXX-XXXX. */
export function tokenFromRandom(random: Uint8Array): string {
  if (random.length !== TOKEN_CHARS) throw new RangeError(`${random.length} random bytes`);
  const chars = Array.from(random, (byte) => ALPHABET[byte & 31] ?? '').join('');
  return (chars.match(new RegExp(`.{${GROUP_CHARS}}`, 'g')) ?? []).join('-');
}

/** The characters that count: upper case, without spaces and dashes, look-alikes read as the digits they resemble. */
export function normalizedToken(offered: string): string {
  return offered
    .slice(0, OFFERED_CHARS_MAX)
    .toUpperCase()
    .replace(/[\s-]/g, '')
    .replace(/[IL]/g, '1')
    .replace(/O/g, '0');
}

/** State right after `token` was printed. */
export function freshToken(token: string, nowMs: number): EnrolmentState {
  return { ...NO_TOKEN, tokenHash: hashOf(token), expiresAtMs: nowMs + TOKEN_LIFETIME_MS };
}

/**
 * Judges `offered` at `nowMs` and returns the state after it. Only the right token learns that it was used or has
 * expired. The lock answers wrong tokens only: 100 bits are not guessed, and whoever guesses must not be able to keep
 * the bearer of the right one out.
 */
export function offerToken(
  state: EnrolmentState,
  offered: string,
  nowMs: number,
): { readonly state: EnrolmentState; readonly outcome: EnrolmentOutcome } {
  if (state.tokenHash === undefined) return { state, outcome: { kind: 'none' } };
  if (!timingSafeEqual(hashOf(offered), state.tokenHash)) {
    if (nowMs < state.lockedUntilMs) {
      return { state, outcome: { kind: 'locked', retryAfterMs: state.lockedUntilMs - nowMs } };
    }
    return { state: afterWrongTry(state, nowMs), outcome: { kind: 'wrong' } };
  }
  if (state.isUsed) return { state, outcome: { kind: 'used' } };
  if (nowMs >= state.expiresAtMs) return { state, outcome: { kind: 'expired' } };
  return { state: { ...state, isUsed: true, wrongTries: 0 }, outcome: { kind: 'accepted' } };
}

/** State of a new token: guesses at the one before stay counted. */
export function nextToken(before: EnrolmentState, token: string, nowMs: number): EnrolmentState {
  const { wrongTries, lockedUntilMs } = before;
  return { ...freshToken(token, nowMs), wrongTries, lockedUntilMs };
}

/** Payload of {@link ENROLMENT_RECORD}: the hash, never the token. */
export function enrolmentPayload(state: EnrolmentState): unknown {
  const { tokenHash, ...rest } = state;
  return { ...rest, tokenHash: Buffer.from(tokenHash ?? []).toString('hex') };
}

/** Reads {@link enrolmentPayload}; undefined when the shape is wrong. */
export function enrolmentFrom(payload: unknown): EnrolmentState | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined;
  const { tokenHash, isUsed, expiresAtMs, wrongTries, lockedUntilMs } = payload as Record<
    keyof EnrolmentState,
    unknown
  >;
  if (typeof tokenHash !== 'string' || !/^[0-9a-f]{64}$/.test(tokenHash)) return undefined;
  if (typeof isUsed !== 'boolean' || typeof expiresAtMs !== 'number') return undefined;
  if (typeof wrongTries !== 'number' || typeof lockedUntilMs !== 'number') return undefined;
  const hash = Buffer.from(tokenHash, 'hex');
  return { tokenHash: hash, isUsed, expiresAtMs, wrongTries, lockedUntilMs };
}

/** The error of an outcome that is not "accepted". */
export function tokenError(
  outcome: Exclude<EnrolmentOutcome, { readonly kind: 'accepted' }>,
): KeelError {
  switch (outcome.kind) {
    case 'wrong':
      return new KeelError('E_TOKEN_WRONG', 'Cannot enrol: the token is wrong');
    case 'none':
      return new KeelError('E_TOKEN_WRONG', 'Cannot enrol: this node made no token at this boot', {
        hint: 'Its configuration says enrolment.consoleToken: until-enrolled. An enrolled operator can renew; else the state partition has to be wiped.',
      });
    case 'used':
      return new KeelError('E_TOKEN_USED', 'Cannot enrol: the token has been used');
    case 'expired':
      return new KeelError('E_TOKEN_EXPIRED', 'Cannot enrol: the token has expired');
    case 'locked': {
      const seconds = Math.ceil(outcome.retryAfterMs / 1000);
      return new KeelError(
        'E_RATE_LIMITED',
        `Cannot enrol: too many wrong tokens, wait ${seconds} s`,
        { details: { retry_after_seconds: String(seconds) } },
      );
    }
  }
}

function afterWrongTry(state: EnrolmentState, nowMs: number): EnrolmentState {
  const wrongTries = state.wrongTries + 1;
  const over = wrongTries - TRIES_BEFORE_LOCK;
  if (over < 0) return { ...state, wrongTries };
  const lockMs = Math.min(LOCK_MS_MAX, LOCK_MS_FIRST * 2 ** Math.min(over, 20));
  return { ...state, wrongTries, lockedUntilMs: nowMs + lockMs };
}

function hashOf(token: string): Uint8Array {
  return createHash('sha256').update(normalizedToken(token)).digest();
}
