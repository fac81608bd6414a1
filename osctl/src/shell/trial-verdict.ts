/** Waits through the reboot for the verdict on a release: committed and healthy, or why not. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { type GetStatusResponse, SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  type SlotReleaseSchema,
  SlotState,
  SlotStateSchema,
  type UpdateHistoryEntry,
  UpdateHistoryEntrySchema,
  UpdateOutcome,
  UpdatePhase,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { enumName } from '../core/plain.ts';
import { refusedReboot, releaseText, slotLetter } from '../core/update-text.ts';
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
  /** Of the node's history; made from what runs when the node has lost its history. */
  readonly entry: UpdateHistoryEntry;
  readonly isRecorded: boolean;
  readonly running: GetStatusResponse;
  /** False when it was not asked because the release was not kept. */
  readonly isHealthy: boolean;
}

/** What is waited for. */
export interface VerdictOptions {
  /** Id in the history. */
  readonly id: string;
  /** The system that goes down; absent when it may be down already. */
  readonly ending?: GetStatusResponse;
  /** The release that is tried, as far as it is known. */
  readonly target?: MessageInitShape<typeof SlotReleaseSchema>;
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
  {
    entry,
    running,
    isSameBoot,
  }: {
    readonly entry: UpdateHistoryEntry;
    readonly running: GetStatusResponse;
    readonly isSameBoot: boolean;
  },
): Promise<string> {
  const status = await lookAtInstall(session, { id, leftMs });
  const refused = status === undefined ? undefined : refusedReboot(status);
  if (refused !== undefined) return `${releaseText(entry.to)} is armed, and ${refused}`;
  if (isSameBoot) return 'the node has not gone down yet';
  if (running.rootHash !== '' && running.rootHash === entry.from?.rootHash) {
    return `the node is back on ${releaseText(entry.from)} and looks for the cause`;
  }
  const missing = status?.phase === UpdatePhase.TRIAL ? status.waitingFor : [];
  const what = missing.length === 0 ? '' : `, waiting for ${missing.join(', ')}`;
  return `${releaseText(entry.to)} is on trial${what}`;
}

/**
 * A look at a node that has been restarted and has lost its history, for example because its state is in memory: what
 * runs, and what its slot is to the boot loader, decide. What is failing then does not pass by itself.
 *
 * @throws KeelError E_UNHEALTHY when the release is committed and checks fail.
 */
async function lookWithoutHistory(
  client: NodeClient,
  running: GetStatusResponse,
  { ending, target }: VerdictOptions & { readonly ending: GetStatusResponse },
): Promise<Attempt<Verdict>> {
  const { slots } = await client.call(UpdateService.method.listSlots, {});
  const from = { slot: ending.slot, version: ending.version, rootHash: ending.rootHash };
  const isBack = running.rootHash === ending.rootHash && running.slot === ending.slot;
  const to = isBack ? target : running;
  const entry = create(UpdateHistoryEntrySchema, {
    from,
    to: { slot: to?.slot ?? 0, version: to?.version ?? '', rootHash: to?.rootHash ?? '' },
    outcome: isBack ? UpdateOutcome.ROLLED_BACK : UpdateOutcome.COMMITTED,
    cause: isBack ? 'the node has been restarted and has no record of it' : '',
  });
  const name = releaseText(entry.to);
  if (isBack) {
    const isArmed = slots.some(({ state }) => state === SlotState.ARMED);
    if (isArmed) return { done: false, seen: `${name || 'the other slot'} is armed` };
    return { done: true, value: { entry, running, isRecorded: false, isHealthy: false } };
  }
  const state = slots.find((slot) => slot.running)?.state ?? SlotState.UNSPECIFIED;
  if (state !== SlotState.COMMITTED) {
    return { done: false, seen: `${name} runs, its slot is ${enumName(SlotStateSchema, state)}` };
  }
  const health = await client.call(HealthService.method.getHealth, {});
  if (!health.healthy) {
    const reason = `it is committed, ${failingText(health)}, and the node has lost its history`;
    throw new KeelError('E_UNHEALTHY', `Cannot see ${name} healthy: ${reason}`);
  }
  return { done: true, value: { entry, running, isRecorded: false, isHealthy: true } };
}

async function look(
  session: NodeSession,
  options: VerdictOptions & { readonly leftMs: number },
): Promise<Attempt<Verdict>> {
  const { id, ending, leftMs } = options;
  const client = session.reopen(leftMs);
  try {
    const running = await client.call(SystemService.method.getStatus, {});
    const entry = await findEntry(client, id);
    if (entry === undefined) {
      const isSameBoot = ending === undefined || running.bootId === ending.bootId;
      if (isSameBoot) return { done: false, seen: `the node has no record of ${id}` };
      return await lookWithoutHistory(client, running, { ...options, ending });
    }
    if (entry.outcome === UpdateOutcome.COMMITTED) {
      const health = await client.call(HealthService.method.getHealth, {});
      const name = releaseText(entry.to);
      return health.healthy
        ? { done: true, value: { entry, running, isRecorded: true, isHealthy: true } }
        : {
            done: false,
            seen: `${name} is committed, ${failingText(health)}`,
            lack: { code: 'E_UNHEALTHY', goal: `see ${name} healthy` },
          };
    }
    const isOpen =
      entry.outcome === UpdateOutcome.OPEN || entry.outcome === UpdateOutcome.UNSPECIFIED;
    if (!isOpen) {
      return { done: true, value: { entry, running, isRecorded: true, isHealthy: false } };
    }
    const isSameBoot = running.bootId === ending?.bootId;
    const installLook = { id, leftMs: Math.max(1, leftMs * INSTALL_LOOK_SHARE) };
    return {
      done: false,
      seen: await openText(session, installLook, { entry, running, isSameBoot }),
    };
  } finally {
    client.close();
  }
}

/**
 * The verdict on the update or rollback with `id`. Waits through reboots; what it waits for is told on stderr.
 *
 * @throws KeelError E_TIMEOUT when there is none in time, with what was seen last; E_UNHEALTHY when the release is
 * committed and not healthy.
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
