/** PID 1 in memory. */
import type { InitRequest, LogLine, ServiceStatus } from '@keelos/proto/init-control.ts';
import { type InitControl, replyError, unreachable } from './init-client.ts';

/** A PID 1 that shows what it was asked. */
export interface FakeInit extends InitControl {
  readonly requests: InitRequest[];
  services: readonly ServiceStatus[];
  readonly logs: Map<string, LogLine[]>;
  isReachable: boolean;
  /** Operation that is answered with an error. */
  refused: InitRequest['op'] | undefined;
  /** Adds a line to a log; followers get it. */
  write(service: string, line: LogLine): void;
}

/** A PID 1 without services. */
export function createFakeInit(): FakeInit {
  let wake = (): void => undefined;
  const fake: FakeInit = {
    requests: [],
    services: [],
    logs: new Map(),
    isReachable: true,
    refused: undefined,
    async request(request) {
      fake.requests.push(request);
      if (!fake.isReachable) throw unreachable('nobody listens');
      if (request.op === fake.refused) {
        return { type: 'error', code: 'E_INVALID_ARGUMENT', message: 'refused' };
      }
      if (request.op === 'listServices') return { type: 'services', services: fake.services };
      return { type: 'ok' };
    },
    write(service, line) {
      fake.logs.set(service, [...(fake.logs.get(service) ?? []), line]);
      wake();
    },
    async *readLog(request, signal) {
      fake.requests.push(request);
      const all = () => fake.logs.get(request.service);
      if (all() === undefined) {
        const message = `Cannot read log: there is no service ${request.service}`;
        throw replyError({ type: 'error', code: 'E_NOT_FOUND', message });
      }
      const skipped = (all()?.length ?? 0) - (request.tailLines ?? Number.MAX_SAFE_INTEGER);
      let index = Math.max(0, skipped);
      while (!signal.aborted) {
        for (; index < (all()?.length ?? 0); index += 1) {
          const line = all()?.[index];
          if (line !== undefined) yield line;
        }
        if (!request.follow) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    },
  };
  return fake;
}
