/** Keeps the history of restarts: looks now and then, and whenever health is asked for. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { ServiceStatus } from '@keelos/proto/init-control.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type { RestartSample } from '../core/restart-history.ts';
import {
  CRASH_WINDOW_MS,
  RESTARTS_RECORD,
  recentRestarts,
  restartsFrom,
  withRestarts,
} from '../core/restart-history.ts';
import type { AgentPorts } from '../ports.ts';

/** The record. */
export const RESTARTS_PATH = '/run/keel/restarts.rec';

/** Ports of {@link RestartWatch}. */
export type RestartPorts = Pick<AgentPorts, 'init' | 'state' | 'clock' | 'log'>;

/** The history and its timer. */
export class RestartWatch {
  readonly #ports: RestartPorts;
  #samples: readonly RestartSample[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(ports: RestartPorts) {
    this.#ports = ports;
    try {
      const bytes = ports.state.read(RESTARTS_PATH);
      if (bytes !== undefined) {
        this.#samples = restartsFrom(decodeRecord(RESTARTS_RECORD, bytes)) ?? [];
      }
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      ports.log(`restarts before this start not known: ${cause.message}`);
    }
  }

  /** Looks now, and often enough that a window has a sample at its beginning. */
  start(): void {
    const look = (): void => {
      this.services().catch((cause: unknown) => this.#ports.log(`services: ${String(cause)}`));
    };
    look();
    this.#timer = setInterval(look, CRASH_WINDOW_MS / 2);
    this.#timer.unref();
  }

  /** Ends the timer. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** The services, each with the number of its recent restarts; undefined when PID 1 does not answer. */
  async services(): Promise<readonly (ServiceStatus & { recentRestarts: number })[] | undefined> {
    const { init, clock } = this.#ports;
    const reply = await init.request({ op: 'listServices' }).catch((cause: unknown) => {
      if (cause instanceof KeelError) return undefined;
      throw cause;
    });
    if (reply?.type !== 'services') return undefined;
    const nowMs = clock.monotonicMs();
    const services = reply.services.map((service) => ({
      ...service,
      recentRestarts: recentRestarts(this.#samples, service, nowMs),
    }));
    this.#keep(withRestarts(this.#samples, reply.services, nowMs));
    return services;
  }

  #keep(samples: readonly RestartSample[]): void {
    if (samples === this.#samples) return;
    this.#samples = samples;
    try {
      this.#ports.state.replace(RESTARTS_PATH, encodeRecord(RESTARTS_RECORD, samples));
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#ports.log(`restarts not kept: ${cause.message}`);
    }
  }
}
