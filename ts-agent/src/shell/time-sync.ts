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
const SNTP_PORT = 123;

/** What a round found. */
export type SyncResult =
  | { readonly kind: 'time'; readonly server: string; readonly timeMs: number }
  | { readonly kind: 'none'; readonly problems: readonly string[] };

/** Ports of {@link syncOnce}. */
export type SyncPorts = Pick<AgentPorts, 'udp' | 'random' | 'clock' | 'init' | 'log'>;

/** Asks `servers` in order until one gives a usable time, and passes it on. */
export async function syncOnce(
  ports: SyncPorts,
  servers: readonly string[],
  options: { readonly notBeforeMs: number; readonly signal: AbortSignal },
): Promise<SyncResult> {
  const problems: string[] = [];
  for (const server of servers) {
    const nonce = ports.random(8);
    const startMs = ports.clock.monotonicMs();
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(SERVER_ANSWER_MS)]);
    try {
      const answer = await ports.udp(targetFrom(server), sntpRequest(nonce), signal);
      const roundTripMs = ports.clock.monotonicMs() - startMs;
      const verdict = parseSntpAnswer(answer, {
        nonce,
        roundTripMs,
        notBeforeMs: options.notBeforeMs,
      });
      if (verdict.kind === 'time') {
        const { timeMs } = verdict;
        await ports.init.request({ op: 'raiseClock', timeMs, source: 'ntp' }, options.signal);
        return { kind: 'time', server, timeMs };
      }
      problems.push(`${server}: ${verdict.reason}`);
    } catch (cause) {
      options.signal.throwIfAborted();
      problems.push(`${server}: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }
  return { kind: 'none', problems };
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
      });
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
