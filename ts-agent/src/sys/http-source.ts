/**
 * A bundle on an HTTP server: ranges of it, taken up again where a connection broke. Nothing of it is kept in memory but
 * the piece that is being handed on.
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import type { AnswerVerdict, Seen } from '../core/http-answer.ts';
import { judgeAnswer, rangeHeaders } from '../core/http-answer.ts';
import type { Persistence } from '../core/persistence.ts';
import {
  afterFailure,
  BUSY_MAX,
  FAILURES_IN_ROW_MAX,
  FIRST_FAILURES_MAX,
  FRESH,
  PROGRESS_BYTES_MIN,
} from '../core/persistence.ts';
import type { ProxySettings } from '../core/source-address.ts';
import { parseSourceUrl, proxyFor, redirected, shownUrl } from '../core/source-address.ts';
import type { Clock } from './clock.ts';
import type { HttpTimes } from './http-connection.ts';
import { askHttp, cancelled, HttpProblem, problemOf } from './http-connection.ts';
import type { SourceFacts, SourceRange, UpdateSource } from './update-source.ts';

/** Redirects that are followed for one question. */
export const REDIRECTS_MAX = 5;
/** Times in force on a node. */
export const SOURCE_TIMES: SourceTimes = {
  connectMs: 10_000,
  answerMs: 30_000,
  idleMs: 30_000,
  slowWindowMs: 60_000,
  slowBytesMin: 65_536,
};

/** Times of a download. */
export interface SourceTimes extends HttpTimes {
  /** Of so much waiting … */
  readonly slowWindowMs: number;
  /** … at least so many bytes must come, or the connection counts as dead. */
  readonly slowBytesMin: number;
}

/** Where a bundle is and how to get there. */
export interface HttpSourceOptions {
  readonly url: string;
  /** Certificate authorities for https, PEM; empty: those of Node.js. */
  readonly caPem: string;
  readonly settings: ProxySettings;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly times?: Partial<SourceTimes>;
  /** Waits between two tries; a test need not. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

interface Answered {
  readonly answer: IncomingMessage;
  readonly verdict: Extract<AnswerVerdict, { kind: 'bytes' }>;
}

/** The source. @throws KeelError E_INVALID_ARGUMENT for a URL or certificates that cannot be used */
export function httpSource(options: HttpSourceOptions): UpdateSource {
  return new HttpSource(options);
}

class HttpSource implements UpdateSource {
  readonly #options: HttpSourceOptions;
  readonly #times: SourceTimes;
  readonly #url: URL;
  readonly #name: string;
  readonly #closed = new AbortController();
  #seen: Seen | undefined;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
    this.#times = { ...SOURCE_TIMES, ...options.times };
    this.#url = parseSourceUrl(options.url);
    this.#name = shownUrl(this.#url);
    checkAuthorities(options.caPem);
  }

  async open(signal: AbortSignal): Promise<SourceFacts> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    let persistence = FRESH;
    for (;;) {
      try {
        const { answer, verdict } = await this.#ask({ offsetBytes: 0, lengthBytes: 1 }, stop);
        answer.destroy();
        this.#seen = verdict.seen;
        return { sizeBytes: verdict.seen.sizeBytes, name: this.#name };
      } catch (cause) {
        // Who is making a delta is given the time for it; it keeps the question open meanwhile.
        const isBusy = cause instanceof HttpProblem && cause.isBusy;
        const facts = { gainedBytes: 0, inRowMax: isBusy ? BUSY_MAX : FIRST_FAILURES_MAX };
        persistence = await this.#endure(cause, { persistence, ...facts }, stop);
      }
    }
  }

  async *read(range: SourceRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const seen = this.#seen;
    const endBytes = range.offsetBytes + range.lengthBytes;
    if (seen === undefined) throw new Error('read before open');
    if (range.offsetBytes < 0 || range.lengthBytes < 0 || endBytes > seen.sizeBytes) {
      throw new RangeError(`bytes ${range.offsetBytes} to ${endBytes} of ${seen.sizeBytes}`);
    }
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    let persistence = FRESH;
    let atBytes = range.offsetBytes;
    let failedAtBytes = atBytes;
    while (atBytes < endBytes) {
      try {
        const rest = { offsetBytes: atBytes, lengthBytes: endBytes - atBytes };
        for await (const piece of this.#pieces(rest, stop)) {
          atBytes += piece.length;
          yield piece;
        }
      } catch (cause) {
        const isGivenUp = !(cause instanceof HttpProblem) || !cause.isWorthRetry;
        if (atBytes === endBytes && !isGivenUp) return;
        const gainedBytes = atBytes - failedAtBytes;
        failedAtBytes = atBytes;
        const facts = { persistence, gainedBytes, inRowMax: FAILURES_IN_ROW_MAX };
        persistence = await this.#endure(cause, facts, stop);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  /** Waits when another try may help. @throws `cause` when not, or when there were tries enough */
  async #endure(
    cause: unknown,
    facts: {
      readonly persistence: Persistence;
      readonly gainedBytes: number;
      readonly inRowMax: number;
    },
    signal: AbortSignal,
  ): Promise<Persistence> {
    if (signal.aborted) throw cancelled(this.#name);
    if (!(cause instanceof HttpProblem) || !cause.isWorthRetry) throw cause;
    const next = afterFailure(facts.persistence, facts);
    if (next.kind === 'give-up') {
      const tries = next.failures === 1 ? '' : `, ${next.failures} times in a row`;
      throw new KeelError(cause.code, `${cause.message}${tries}`, { cause });
    }
    await (this.#options.wait ?? pause)(next.waitMs, signal).catch(() => undefined);
    if (signal.aborted) throw cancelled(this.#name);
    return next.persistence;
  }

  /** Asks for a range, over redirects, and returns an answer that has bytes of it. */
  async #ask(range: SourceRange, signal: AbortSignal): Promise<Answered> {
    const asked = { ...range, seen: this.#seen };
    const { caPem, settings } = this.#options;
    let url = this.#url;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
      const proxy = proxyFor(url, settings);
      const answer = await askHttp(
        {
          url,
          ...(proxy === undefined ? {} : { proxy }),
          caPem,
          headers: rangeHeaders(asked),
          times: this.#times,
        },
        signal,
      );
      const { statusCode = 0, headers } = answer;
      const verdict = judgeAnswer({ status: statusCode, headers }, asked);
      if (verdict.kind === 'bytes') return { answer, verdict };
      answer.destroy();
      if (verdict.kind === 'refused') {
        const { code, reason, isWorthRetry, isBusy } = verdict;
        const message = `Cannot fetch ${shownUrl(url)}: ${reason}`;
        throw new HttpProblem(code, message, { isWorthRetry, isBusy });
      }
      url = redirected(url, verdict.location);
    }
    throw new KeelError(
      'E_SOURCE_REDIRECT',
      `Cannot fetch ${this.#name}: more than ${REDIRECTS_MAX} redirects`,
    );
  }

  /**
   * Bytes of one answer, from the beginning of `range`; perhaps fewer than asked for. So few that they are no progress,
   * before the end of the range, are a failure once they are handed on: each costs a connection.
   */
  async *#pieces(range: SourceRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { answer, verdict } = await this.#ask(range, signal);
    const onAbort = (): void => void answer.destroy(cancelled(this.#name));
    signal.addEventListener('abort', onAbort, { once: true });
    let leftBytes = verdict.endBytes - range.offsetBytes;
    try {
      if (signal.aborted) throw cancelled(this.#name);
      for await (const piece of this.#waitFor(answer, signal)) {
        leftBytes -= piece.length;
        if (leftBytes < 0) {
          throw new KeelError(
            'E_SOURCE_LONG',
            `Cannot fetch ${this.#name}: the server sends more bytes than were asked for`,
          );
        }
        yield piece;
      }
      if (leftBytes > 0) {
        throw new HttpProblem(
          'E_SOURCE_SHORT',
          `Cannot fetch ${this.#name}: the answer ends ${leftBytes} bytes too early`,
          { isWorthRetry: true },
        );
      }
      const gotBytes = verdict.endBytes - range.offsetBytes;
      if (gotBytes < range.lengthBytes && gotBytes < PROGRESS_BYTES_MIN) {
        throw new HttpProblem(
          'E_SOURCE_SHORT',
          `Cannot fetch ${this.#name}: asked for ${range.lengthBytes} bytes, the server gives ${gotBytes}`,
          { isWorthRetry: true },
        );
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      answer.destroy();
    }
  }

  /** The body of an answer; only time spent waiting for the server counts, not that of who takes the bytes. */
  async *#waitFor(answer: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { clock } = this.#options;
    const { slowWindowMs, slowBytesMin } = this.#times;
    const pieces: AsyncIterator<Uint8Array> = answer[Symbol.asyncIterator]();
    let waitedMs = 0;
    let gotBytes = 0;
    for (;;) {
      const beganMs = clock.monotonicMs();
      const next = await this.#next(answer, pieces, signal);
      if (next.done === true) return;
      waitedMs += clock.monotonicMs() - beganMs;
      gotBytes += next.value.length;
      yield next.value;
      if (waitedMs < slowWindowMs) continue;
      if (gotBytes < slowBytesMin) {
        throw new HttpProblem(
          'E_SOURCE_TIMEOUT',
          `Cannot fetch ${this.#name}: only ${gotBytes} bytes in ${Math.round(waitedMs / 1_000)} s`,
          { isWorthRetry: true },
        );
      }
      waitedMs = 0;
      gotBytes = 0;
    }
  }

  async #next(
    answer: IncomingMessage,
    pieces: AsyncIterator<Uint8Array>,
    signal: AbortSignal,
  ): Promise<IteratorResult<Uint8Array>> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      answer.destroy();
    }, this.#times.idleMs);
    try {
      return await pieces.next();
    } catch (cause) {
      const facts = { name: this.#name, stage: 'body', isCancelled: signal.aborted } as const;
      throw problemOf(cause, { ...facts, isLate });
    } finally {
      clearTimeout(timer);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal });
}

const CERTIFICATE_PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What Node would pass over silently is refused: a list of authorities without one that can be read. */
function checkAuthorities(caPem: string): void {
  if (caPem === '') return;
  const found = caPem.match(CERTIFICATE_PEM) ?? [];
  try {
    for (const pem of found) new X509Certificate(pem);
    if (found.length > 0) return;
  } catch {
    // Said below.
  }
  throw new KeelError(
    'E_INVALID_ARGUMENT',
    'Cannot use the certificate authorities for the source: expected certificates in PEM',
  );
}
