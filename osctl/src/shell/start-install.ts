/** Begins an install that the node fetches itself, and finds it again when the answer was lost. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type StartUpdateRequestSchema,
  UpdateService,
  type UpdateStatus,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { earlierInstall, leftOf, lookAfterLoss, type TimeBound } from './follow-update.ts';
import { type Invocation, type NodeSession, tellWaiting } from './invocation.ts';
import { INTERVAL_MS, isPassing } from './wait.ts';

/** Looks for an install whose answer was lost. */
const LOOKS_MAX = 10;

/** What is installed. */
export interface StartOptions {
  readonly request: MessageInitShape<typeof StartUpdateRequestSchema>;
  readonly bound: TimeBound;
}

/** The first state, or the release of a channel that runs already. */
export type Begun = { readonly status: UpdateStatus } | { readonly newestVersion: string };

async function start(
  session: NodeSession,
  invocation: Invocation,
  { request, bound }: StartOptions,
): Promise<Begun> {
  const client = session.reopen(Math.max(1, leftOf(bound, invocation)));
  try {
    const { status, newestVersion } = await client.call(UpdateService.method.startUpdate, request);
    if (status !== undefined) return { status };
    if (newestVersion !== '') return { newestVersion };
    throw new KeelError('E_INTERNAL', 'Cannot update: the node said nothing of the install');
  } finally {
    client.close();
  }
}

/**
 * Begins the install, and returns the first state that the node tells of it. The node goes on with an install whose
 * caller is gone: when the connection breaks before the answer, the install is looked for.
 *
 * @throws KeelError what the node refuses the bundle with; the error of the broken connection when there is no install.
 */
export async function startInstall(
  session: NodeSession,
  invocation: Invocation,
  options: StartOptions,
): Promise<Begun> {
  const { host, signal } = invocation;
  const { bound } = options;
  const earlierId = await earlierInstall(session, invocation, bound);
  try {
    return await start(session, invocation, options);
  } catch (error) {
    if (!isPassing(error)) throw error;
    tellWaiting(invocation, error.message);
    for (let looks = 0; looks < LOOKS_MAX && leftOf(bound, invocation) > 0; looks += 1) {
      await host.clock.sleep(INTERVAL_MS, signal);
      const state = await lookAfterLoss(session, invocation, { id: '', earlierId, bound });
      if (state === undefined) break;
      if (state !== 'unknown') return { status: state };
    }
    throw error;
  }
}
