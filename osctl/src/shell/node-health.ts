/** A look at the health of a node, for the commands that wait for it. */
import {
  type GetHealthResponse,
  HealthService,
  HealthState,
} from '@keelos/proto/gen/keel/v1/health_pb.js';
import { countOf } from '../core/quantity.ts';
import type { NodeSession } from './invocation.ts';
import type { Attempt } from './wait.ts';

/** The checks that fail, as a message says them: "1 check failing (agent)". */
export function failingText(health: GetHealthResponse): string {
  const names = health.checks
    .filter((check) => check.state === HealthState.FAILING)
    .map((check) => check.name);
  return `${countOf(names.length, 'check')} failing (${names.join(', ')})`;
}

/** One look at the health of a node, over a connection of its own. */
export async function lookAtHealth(
  session: NodeSession,
  leftMs: number,
): Promise<Attempt<GetHealthResponse>> {
  const client = session.reopen(leftMs);
  try {
    const health = await client.call(HealthService.method.getHealth, {});
    return health.healthy
      ? { done: true, value: health }
      : { done: false, seen: failingText(health) };
  } finally {
    client.close();
  }
}
