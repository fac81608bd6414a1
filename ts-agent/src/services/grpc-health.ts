/** grpc.health.v1: the standard probe. Every service serves as long as no check of the node is failing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Health } from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { HealthCheckResponse_ServingStatus as Status } from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { isHealthy } from '../core/health-history.ts';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';

/** A watcher's answer is looked at this often. */
const WATCH_INTERVAL_MS = 2_000;

/** Methods over `node`, for the services with these full names. */
export function grpcHealthMethods(
  { health }: Node,
  services: ReadonlySet<string>,
): ServiceMethods<typeof Health> {
  const status = async (service: string): Promise<Status> => {
    if (service !== '' && !services.has(service)) return Status.SERVICE_UNKNOWN;
    return isHealthy(await health.results()) ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    async check({ service }) {
      const now = await status(service);
      if (now !== Status.SERVICE_UNKNOWN) return { status: now };
      throw new KeelError('E_NOT_FOUND', `Cannot check ${service}: there is no such service`);
    },
    async *watch({ service }, { signal }) {
      let last: Status | undefined;
      for (;;) {
        const now = await status(service);
        if (now !== last) yield { status: now };
        last = now;
        await sleep(WATCH_INTERVAL_MS, undefined, { signal });
      }
    },
  };
}
