/** Asks the configured time servers and passes what they say to PID 1, which sets the clock. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseSntpAnswer, sntpRequest } from '../core/sntp.ts';
import type { AgentPorts } from '../ports.ts';

/** Time between two rounds that worked. */
export const SYNC_INTERVAL_MS = 3_600_000;
/** Time between two rounds that did not. */
export const SYNC_RETRY_MS = 60_000;
/** Time for one server's answer. */
export const SERVER_ANSWER_MS = 3_000;
/** A time further ahead of the clock than this needs a second answer. */
export const UNCONFIRMED_MS_MAX = 3 * 86_400_000;
/** How far two answers may be apart. */
const AGREEMENT_MS = 10_000;
const SNTP_PORT = 123;

/** What a round found. */
export type SyncResult =
  | { readonly kind: 'time'; readonly server: string; readonly timeMs: number }
  | { readonly kind: 'none'; readonly problems: readonly string[] };

/** Ports of {@link syncOnce}. */
export type SyncPorts = Pick<AgentPorts, 'udp' | 'random' | 'clock' | 'init' | 'log'>;

interface Answer {
  readonly server: string;
  readonly timeMs: number;
  /** When it was given, monotonic milliseconds. */
  readonly atMs: number;
}

/** Servers of a round, and how long it may go on. */
export interface SyncRound {
  readonly notBeforeMs: number;
  readonly signal: AbortSignal;
}

/**
 * Asks `servers` in order until one gives a usable time that PID 1 takes.
 *
 * The clock is never set back, so a time that is far ahead needs a second answer that agrees: of another server or,
 * when no other answers, of the same one.
 */
export async function syncOnce(
  ports: SyncPorts,
  servers: readonly string[],
  round: SyncRound,
): Promise<SyncResult> {
  const problems: string[] = [];
  const farAhead: Answer[] = [];
  const attempt = async (server: string): Promise<SyncResult | undefined> => {
    try {
      const answer = await ask(ports, server, round);
      const isFar = answer.timeMs - ports.clock.nowMs() > UNCONFIRMED_MS_MAX;
      if (isFar && !farAhead.some((other) => agree(other, answer))) {
        farAhead.push(answer);
        problems.push(`${server}: far ahead of the clock, and no other answer agrees`);
        return undefined;
      }
      await raiseClock(ports, answer.timeMs, round.signal);
      return { kind: 'time', server, timeMs: answer.timeMs };
    } catch (cause) {
      round.signal.throwIfAborted();
      problems.push(`${server}: ${cause instanceof Error ? cause.message : String(cause)}`);
      return undefined;
    }
  };
  for (const server of servers) {
    const result = await attempt(server);
    if (result !== undefined) return result;
  }
  const [only, another] = farAhead;
  const again =
    only !== undefined && another === undefined ? await attempt(only.server) : undefined;
  return again ?? { kind: 'none', problems };
}

/** One server's time. @throws when it gives none that can be used */
async function ask(ports: SyncPorts, server: string, round: SyncRound): Promise<Answer> {
  const nonce = ports.random(8);
  const startMs = ports.clock.monotonicMs();
  const signal = AbortSignal.any([round.signal, AbortSignal.timeout(SERVER_ANSWER_MS)]);
  const bytes = await ports.udp(targetFrom(server), sntpRequest(nonce), signal);
  const atMs = ports.clock.monotonicMs();
  const { notBeforeMs } = round;
  const verdict = parseSntpAnswer(bytes, { nonce, roundTripMs: atMs - startMs, notBeforeMs });
  if (verdict.kind !== 'time') throw new Error(verdict.reason);
  return { server, timeMs: verdict.timeMs, atMs };
}

async function raiseClock(ports: SyncPorts, timeMs: number, signal: AbortSignal): Promise<void> {
  const reply = await ports.init.request({ op: 'raiseClock', timeMs, source: 'ntp' }, signal);
  if (reply.type === 'error') throw new Error(`PID 1 refused: ${reply.code} ${reply.message}`);
}

function agree(one: Answer, other: Answer): boolean {
  return Math.abs(one.timeMs - one.atMs - (other.timeMs - other.atMs)) <= AGREEMENT_MS;
}

/** "host", "host:port", "[IPv6]:port" or a bare IPv6 address. */
export function targetFrom(server: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(server);
  if (match === null) return { host: server, port: SNTP_PORT };
  return { host: match[1] ?? match[2] ?? server, port: Number(match[3] ?? SNTP_PORT) };
}

/** The loop over {@link syncOnce}; one at a time. */
export class TimeSync {
  readonly #ports: SyncPorts;
  readonly #notBeforeMs: number;
  #running: AbortController | undefined;

  constructor(ports: SyncPorts, notBeforeMs: number) {
    this.#ports = ports;
    this.#notBeforeMs = notBeforeMs;
  }

  /** Ends the loop that runs and, when there are servers, starts one with them. */
  restart(servers: readonly string[]): void {
    this.close();
    if (servers.length === 0) return;
    const running = new AbortController();
    this.#running = running;
    this.#loop(servers, running.signal).catch((cause: unknown) => {
      if (!running.signal.aborted) this.#ports.log(`time synchronisation ended: ${String(cause)}`);
    });
  }

  /** Ends the loop. */
  close(): void {
    this.#running?.abort();
    this.#running = undefined;
  }

  async #loop(servers: readonly string[], signal: AbortSignal): Promise<void> {
    let reported = '';
    while (!signal.aborted) {
      const result = await syncOnce(this.#ports, servers, {
        notBeforeMs: this.#notBeforeMs,
        signal,
      }).catch((cause: unknown) => ({ kind: 'none', problems: [String(cause)] }) as const);
      if (signal.aborted) return;
      const line =
        result.kind === 'time'
          ? `time from ${result.server}`
          : `no time: ${result.problems.join('; ')}`;
      if (line !== reported) this.#ports.log(line);
      reported = line;
      const pauseMs = result.kind === 'time' ? SYNC_INTERVAL_MS : SYNC_RETRY_MS;
      await sleep(pauseMs, undefined, { signal, ref: false });
    }
  }
}
