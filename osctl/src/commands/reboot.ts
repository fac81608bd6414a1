/** osctl reboot */
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { formatDuration } from '../core/duration.ts';
import {
  type Command,
  type NodeSession,
  tellWaiting,
  textOption,
  WAIT_TIMEOUT_MS,
  withNode,
} from '../shell/invocation.ts';
import { type Attempt, waitUntil } from '../shell/wait.ts';
import type { Clock } from '../sys/clock.ts';
import { lookAtHealth } from './health.ts';

/**
 * One look whether the reboot is over: the boot must be another one than the one that was to end, and the node healthy.
 */
async function lookForNewBoot(
  session: NodeSession,
  { leftMs, endingBoot, clock }: { leftMs: number; endingBoot: string; clock: Clock },
): Promise<Attempt<unknown>> {
  const startedMs = clock.monotonicMs();
  const client = session.reopen(leftMs);
  try {
    const { bootId } = await client.call(SystemService.method.getStatus, {});
    if (bootId === '' || bootId === endingBoot) {
      return { done: false, seen: 'the node has not gone down yet' };
    }
  } finally {
    client.close();
  }
  return await lookAtHealth(session, Math.max(1, startedMs + leftMs - clock.monotonicMs()));
}

/** The command. */
export const rebootCommand: Command = {
  name: 'reboot',
  summary: 'Stop all services in order and start the machine again',
  description:
    'With --wait it returns when the node is back from the reboot and healthy, and exits with 8 when it is not within --timeout (10 minutes unless given).',
  options: [
    { flags: '--wait', description: 'wait until the node is back and healthy' },
    { flags: '--reason <text>', description: 'reason for the record, at most 256 bytes' },
  ],
  examples: [
    { command: 'osctl reboot --wait', does: 'Reboot and wait until the node is healthy again' },
    { command: 'osctl reboot --reason "new disk"', does: 'Reboot with a reason' },
  ],
  run: (invocation) =>
    withNode(invocation, async (session) => {
      const { host, globals, signal } = invocation;
      const calledMs = host.clock.monotonicMs();
      const reason = textOption(invocation, 'reason') ?? '';
      const { bootId } = await session.client.call(LifecycleService.method.reboot, { reason });
      session.client.close();
      if (invocation.options.wait !== true) {
        const data = { bootId, rebooted: false, seconds: null };
        return { view: { data, lines: ['The node is going down for a reboot.'] } };
      }
      const { clock } = host;
      const attempt = (leftMs: number) =>
        lookForNewBoot(session, { leftMs, endingBoot: bootId, clock });
      await waitUntil(attempt, {
        clock,
        startedMs: calledMs,
        signal,
        timeoutMs: globals.timeoutMs ?? WAIT_TIMEOUT_MS,
        goal: 'see the node back and healthy',
        onChange: (seen) => tellWaiting(invocation, seen),
      });
      const tookMs = clock.monotonicMs() - calledMs;
      const data = { bootId, rebooted: true, seconds: Math.round(tookMs) / 1000 };
      return {
        view: { data, lines: [`The node is back and healthy after ${formatDuration(tookMs)}.`] },
      };
    }),
};
