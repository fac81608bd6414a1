/** What reboot and shutdown share: the call that takes the node down, and the wait for what comes of it. */
import type { OptionSpec } from '../core/command-spec.ts';
import {
  type Invocation,
  type NodeSession,
  tellWaiting,
  textOption,
  WAIT_TIMEOUT_MS,
  withNode,
} from './invocation.ts';
import type { NodeClient } from './node-client.ts';
import { type Attempt, waitUntil } from './wait.ts';

/** The option that gives the reason. */
export const REASON_OPTION: OptionSpec = {
  flags: '--reason <text>',
  description: 'reason for the record, at most 256 bytes',
};

/** How a node goes down. */
export interface GoingDown {
  /** The call that takes it down. */
  call(client: NodeClient, request: { readonly reason: string }): Promise<{ bootId: string }>;
  /** Completes "Cannot …" when --wait was given and the time is up. */
  readonly goal: string;
  /** One look whether the wait is over. */
  look(
    session: NodeSession,
    options: { readonly leftMs: number; readonly endingBoot: string },
  ): Promise<Attempt<unknown>>;
}

/** What came of it. */
export interface WentDown {
  /** The boot that ends. */
  readonly bootId: string;
  /** From the call to the end of the wait; undefined without --wait. */
  readonly tookMs?: number;
}

/**
 * Takes the node down, and waits for the end of it when --wait was given. The time of the wait runs from the call.
 *
 * @throws KeelError E_TIMEOUT when the wait does not end in time, and what the call throws
 */
export async function goDown(
  invocation: Invocation,
  { call, goal, look }: GoingDown,
): Promise<WentDown> {
  return await withNode(invocation, async (session) => {
    const { globals, signal } = invocation;
    const { clock } = invocation.host;
    const startedMs = clock.monotonicMs();
    const reason = textOption(invocation, 'reason') ?? '';
    const { bootId } = await call(session.client, { reason });
    session.client.close();
    if (invocation.options.wait !== true) return { bootId };
    await waitUntil((leftMs) => look(session, { leftMs, endingBoot: bootId }), {
      clock,
      startedMs,
      signal,
      timeoutMs: globals.timeoutMs ?? WAIT_TIMEOUT_MS,
      goal,
      onChange: (seen) => tellWaiting(invocation, seen),
    });
    return { bootId, tookMs: clock.monotonicMs() - startedMs };
  });
}
