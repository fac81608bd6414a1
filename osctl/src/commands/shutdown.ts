/** osctl shutdown */
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import {
  type Command,
  type NodeSession,
  tellWaiting,
  textOption,
  WAIT_TIMEOUT_MS,
  withNode,
} from '../shell/invocation.ts';
import { type Attempt, waitUntil } from '../shell/wait.ts';
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
    { flags: '--reason <text>', description: 'reason for the record, at most 256 bytes' },
  ],
  examples: [
    { command: 'osctl shutdown', does: 'Power the node off' },
    { command: 'osctl shutdown --wait --timeout 2m', does: 'Wait until it no longer answers' },
  ],
  run: (invocation) =>
    withNode(invocation, async (session) => {
      const { host, globals, signal } = invocation;
      const calledMs = host.clock.monotonicMs();
      const reason = textOption(invocation, 'reason') ?? '';
      const { bootId } = await session.client.call(LifecycleService.method.shutdown, { reason });
      session.client.close();
      if (invocation.options.wait !== true) {
        return { view: { data: { bootId, gone: false }, lines: ['The node is powering off.'] } };
      }
      await waitUntil((leftMs) => lookWhetherGone(session, { leftMs, signal }), {
        clock: host.clock,
        signal,
        timeoutMs: globals.timeoutMs ?? WAIT_TIMEOUT_MS,
        startedMs: calledMs,
        goal: 'see the node go down',
        onChange: (seen) => tellWaiting(invocation, seen),
      });
      return { view: { data: { bootId, gone: true }, lines: ['The node no longer answers.'] } };
    }),
};
