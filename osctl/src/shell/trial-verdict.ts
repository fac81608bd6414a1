/** Waits through the reboot for the verdict on a release: committed and healthy, or why not. */
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { type GetStatusResponse, SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  type UpdateHistoryEntry,
  UpdateOutcome,
  UpdatePhase,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { releaseText, slotLetter } from '../core/update-text.ts';
import { lookAtInstall, type TimeBound } from './follow-update.ts';
import { type Invocation, type NodeSession, tellWaiting } from './invocation.ts';
import type { NodeClient } from './node-client.ts';
import { failingText } from './node-health.ts';
import { type Attempt, waitUntil } from './wait.ts';

/** So many of the newest entries of the history are looked through. */
const ENTRIES_LOOKED_AT = 8;
/** A look at the install takes at most this share of one attempt. */
const INSTALL_LOOK_SHARE = 0.5;

/** How it ended. */
export interface Verdict {
  readonly entry: UpdateHistoryEntry;
  readonly running: GetStatusResponse;
  /** False when it was not asked because the release was not kept. */
  readonly isHealthy: boolean;
}

/** What is waited for. */
export interface VerdictOptions {
  /** Id in the history. */
  readonly id: string;
  /** Boot id of the system that goes down; absent when it may be down already. */
  readonly endingBoot?: string;
  readonly bound: TimeBound;
}

async function findEntry(client: NodeClient, id: string): Promise<UpdateHistoryEntry | undefined> {
  const { entries } = await client.call(UpdateService.method.listRollbackHistory, {
    limit: ENTRIES_LOOKED_AT,
  });
  return entries.find((entry) => entry.id === id);
}

/** What an open trial waits for, in words. */
async function openText(
  session: NodeSession,
  { id, leftMs }: { readonly id: string; readonly leftMs: number },
  { entry, running }: { readonly entry: UpdateHistoryEntry; readonly running: GetStatusResponse },
): Promise<string> {
  if (running.rootHash !== '' && running.rootHash === entry.from?.rootHash) {
    return `the node is back on ${releaseText(entry.from)} and looks for the cause`;
  }
  const status = await lookAtInstall(session, { id, leftMs });
  const missing = status?.phase === UpdatePhase.TRIAL ? status.waitingFor : [];
  const what = missing.length === 0 ? '' : `, waiting for ${missing.join(', ')}`;
  return `${releaseText(entry.to)} is on trial${what}`;
}

async function look(
  session: NodeSession,
  { id, endingBoot, leftMs }: VerdictOptions & { readonly leftMs: number },
): Promise<Attempt<Verdict>> {
  const client = session.reopen(leftMs);
  try {
    const running = await client.call(SystemService.method.getStatus, {});
    const entry = await findEntry(client, id);
    if (entry === undefined) return { done: false, seen: `the node has no record of ${id}` };
    if (entry.outcome === UpdateOutcome.COMMITTED) {
      const health = await client.call(HealthService.method.getHealth, {});
      if (health.healthy) return { done: true, value: { entry, running, isHealthy: true } };
      return { done: false, seen: `${releaseText(entry.to)} is committed, ${failingText(health)}` };
    }
    const isOpen =
      entry.outcome === UpdateOutcome.OPEN || entry.outcome === UpdateOutcome.UNSPECIFIED;
    if (!isOpen) return { done: true, value: { entry, running, isHealthy: false } };
    if (running.bootId === endingBoot)
      return { done: false, seen: 'the node has not gone down yet' };
    const installLook = { id, leftMs: Math.max(1, leftMs * INSTALL_LOOK_SHARE) };
    return { done: false, seen: await openText(session, installLook, { entry, running }) };
  } finally {
    client.close();
  }
}

/**
 * The verdict on the update or rollback with `id`. Waits through reboots; what it waits for is told on stderr.
 *
 * @throws KeelError E_TIMEOUT when there is none in time, with what was seen last.
 */
export async function waitForVerdict(
  session: NodeSession,
  invocation: Invocation,
  options: VerdictOptions,
): Promise<Verdict> {
  const { bound } = options;
  return await waitUntil((leftMs) => look(session, { ...options, leftMs }), {
    clock: invocation.host.clock,
    signal: invocation.signal,
    startedMs: bound.startedMs,
    timeoutMs: bound.timeoutMs,
    goal: 'see the new release committed',
    onChange: (seen) => tellWaiting(invocation, seen),
  });
}

/** The last line of a wait that ended well: "Running 0.2.0 (slot B), healthy, committed." */
export function verdictText({ running }: Verdict): string {
  const slot = slotLetter(running.slot);
  return `Running ${running.version}${slot === '' ? '' : ` (slot ${slot})`}, healthy, committed.`;
}
