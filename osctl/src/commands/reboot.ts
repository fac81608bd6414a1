/** osctl reboot */
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { formatDuration } from '../core/duration.ts';
import { goDown, REASON_OPTION } from '../shell/going-down.ts';
import type { Command, NodeSession } from '../shell/invocation.ts';
import { lookAtHealth } from '../shell/node-health.ts';
import type { Attempt } from '../shell/wait.ts';
import type { Clock } from '../sys/clock.ts';

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
    REASON_OPTION,
  ],
  examples: [
    { command: 'osctl reboot --wait', does: 'Reboot and wait until the node is healthy again' },
    { command: 'osctl reboot --reason "new disk"', does: 'Reboot with a reason' },
  ],
  run: async (invocation) => {
    const { clock } = invocation.host;
    const { bootId, tookMs } = await goDown(invocation, {
      call: (client, request) => client.call(LifecycleService.method.reboot, request),
      goal: 'see the node back and healthy',
      look: (session, options) => lookForNewBoot(session, { ...options, clock }),
    });
    if (tookMs === undefined) {
      const data = { bootId, rebooted: false, seconds: null };
      return { view: { data, lines: ['The node is going down for a reboot.'] } };
    }
    const data = { bootId, rebooted: true, seconds: Math.round(tookMs) / 1000 };
    const lines = [`The node is back and healthy after ${formatDuration(tookMs)}.`];
    return { view: { data, lines } };
  },
};
