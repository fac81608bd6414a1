/** osctl health */

import { timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type GetHealthResponse,
  GetHealthResponseSchema,
  type HealthCheck,
  HealthService,
  HealthState,
  HealthStateSchema,
} from '@keelos/proto/gen/keel/v1/health_pb.js';
import { enumName, toPlain } from '../core/plain.ts';
import { formatRelative } from '../core/quantity.ts';
import { type Column, tableLines, type View } from '../core/render.ts';
import { type Command, tellWaiting, WAIT_TIMEOUT_MS, withNode } from '../shell/invocation.ts';
import { failingText, lookAtHealth } from '../shell/node-health.ts';
import { waitUntil } from '../shell/wait.ts';

function viewOf(health: GetHealthResponse, now: number): View {
  const columns: Column<HealthCheck>[] = [
    { header: 'check', value: (check) => check.name },
    { header: 'state', value: (check) => enumName(HealthStateSchema, check.state) },
    {
      header: 'since',
      value: ({ since }) => (since === undefined ? '' : formatRelative(timestampDate(since), now)),
    },
    { header: 'message', value: (check) => check.message },
  ];
  const remedies = health.checks
    .filter((check) => check.remedy !== '' && check.state !== HealthState.HEALTHY)
    .map((check) => `${check.name}: ${check.remedy}`);
  return {
    data: toPlain(GetHealthResponseSchema, health),
    lines: [
      ...tableLines(columns, health.checks),
      ...(remedies.length > 0 ? ['', 'What to do:', ...remedies.map((line) => `  ${line}`)] : []),
      '',
      `The node is ${health.healthy ? 'healthy' : 'NOT healthy'}.`,
    ],
  };
}

/** The command. */
export const healthCommand: Command = {
  name: 'health',
  summary: 'Show whether the node is well, check by check',
  description:
    'Exits with 7 when a check fails. A degraded check does not count as failing. With --wait it returns when the node is healthy, and exits with 8 when it is not within --timeout (10 minutes unless given).',
  options: [{ flags: '--wait', description: 'wait until the node answers and is healthy' }],
  examples: [
    { command: 'osctl health', does: 'Every check, with what to do about those that fail' },
    { command: 'osctl health --wait --timeout 5m', does: 'Return as soon as the node is healthy' },
    { command: "osctl health -o json | jq -e '.healthy'", does: 'For scripts' },
  ],
  run: (invocation) =>
    withNode(invocation, async (session) => {
      const { host, globals, signal } = invocation;
      if (invocation.options.wait === true) {
        const health = await waitUntil((leftMs) => lookAtHealth(session, leftMs), {
          clock: host.clock,
          signal,
          timeoutMs: globals.timeoutMs ?? WAIT_TIMEOUT_MS,
          goal: 'see the node healthy',
          onChange: (seen) => tellWaiting(invocation, seen),
        });
        return { view: viewOf(health, host.clock.now()) };
      }
      const health = await session.client.call(HealthService.method.getHealth, {});
      const view = viewOf(health, host.clock.now());
      if (health.healthy) return { view };
      const failure = new KeelError(
        'E_UNHEALTHY',
        `Cannot call the node healthy: ${failingText(health)}`,
      );
      return { view, failure };
    }),
};
