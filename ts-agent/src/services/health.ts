/** HealthService: every check with its result. */
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { HealthState } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { isHealthy } from '../core/health-history.ts';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';

const STATES = {
  healthy: HealthState.HEALTHY,
  degraded: HealthState.DEGRADED,
  failing: HealthState.FAILING,
} as const;

/** Methods over `node`. */
export function healthMethods({ health }: Node): ServiceMethods<typeof HealthService> {
  return {
    async getHealth() {
      const results = await health.results();
      return {
        healthy: isHealthy(results),
        checks: results.map(({ name, state, sinceMs, message, remedy }) => ({
          name,
          state: STATES[state],
          since: timestampFromMs(sinceMs),
          message,
          remedy,
        })),
      };
    },
  };
}
