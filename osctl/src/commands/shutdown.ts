/** osctl shutdown */
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { goDown, REASON_OPTION } from '../shell/going-down.ts';
import type { Command, NodeSession } from '../shell/invocation.ts';
import type { Attempt } from '../shell/wait.ts';
import { probeServer } from '../sys/tls-probe.ts';

async function lookWhetherGone(
  session: NodeSession,
  { leftMs, signal }: { leftMs: number; signal: AbortSignal },
): Promise<Attempt<undefined>> {
  const { kind } = await probeServer(session.endpoint, { timeoutMs: leftMs, signal });
  return kind === 'server'
    ? { done: false, seen: 'the node still answers' }
    : { done: true, value: undefined };
}

/** The command. */
export const shutdownCommand: Command = {
  name: 'shutdown',
  summary: 'Stop all services in order and power the machine off',
  description:
    'With --wait it returns when the API no longer answers; the power goes off right after that. Nothing but the power button or the management controller of the machine starts it again.',
  options: [
    { flags: '--wait', description: 'wait until the node no longer answers' },
    REASON_OPTION,
  ],
  examples: [
    { command: 'osctl shutdown', does: 'Power the node off' },
    { command: 'osctl shutdown --wait --timeout 2m', does: 'Wait until it no longer answers' },
  ],
  run: async (invocation) => {
    const { signal } = invocation;
    const { bootId, tookMs } = await goDown(invocation, {
      call: (client, request) => client.call(LifecycleService.method.shutdown, request),
      goal: 'see the node go down',
      look: (session, { leftMs }) => lookWhetherGone(session, { leftMs, signal }),
    });
    const gone = tookMs !== undefined;
    const lines = [gone ? 'The node no longer answers.' : 'The node is powering off.'];
    return { view: { data: { bootId, gone }, lines } };
  },
};
