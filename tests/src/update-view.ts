/** A node's updates as its API tells them, and waiting for how they end. */
import assert from 'node:assert/strict';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  type ListSlotsResponse,
  type UpdateHistoryEntry,
  UpdateOutcome,
  UpdateService,
  type UpdateStatus,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { HISTORY_MAX } from '@keelos/proto/update-record.ts';
import type { ApiClient } from './api-client.ts';
import type { TestNode } from './test-node.ts';

/** The kernel's first line on the console. */
const KERNEL_START = /\] Linux version \d/g;
/** The firmware takes up a boot option. It may go on to others within one start. */
const OPTION_START = /BdsDxe: loading (Boot[0-9A-F]{4})/g;

/** Loader, second loader, committed kernel image. */
const BOOT_OPTIONS = 3;

/** What runs on a node. */
export interface Running {
  readonly version: string;
  readonly rootHash: string;
}

/** Runs `ask` with a client of the enrolled operator. */
export async function withApi<T>(
  node: TestNode,
  ask: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const client = await node.enrolledClient();
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

/** Release that answers; undefined while nothing does. */
export async function runningNow(node: TestNode): Promise<Running | undefined> {
  return withApi(node, (client) => client.unary(SystemService.method.getStatus)).then(
    ({ version, rootHash }) => ({ version, rootHash }),
    () => undefined, // down, or on its way up
  );
}

/** How the update of now stands, or the last one ended. @throws Error when the node does not answer */
export async function statusOf(client: ApiClient): Promise<UpdateStatus> {
  const [seen] = await client.list(UpdateService.method.watchUpdate, undefined, 1);
  return seen?.status ?? assert.fail('no status');
}

/** The newest first. */
export async function historyOf(node: TestNode): Promise<readonly UpdateHistoryEntry[]> {
  const answer = await withApi(node, (client) =>
    client.unary(UpdateService.method.listRollbackHistory),
  );
  return answer.entries;
}

/** What is in the slots and what would boot. */
export function slotsOf(node: TestNode): Promise<ListSlotsResponse> {
  return withApi(node, (client) => client.unary(UpdateService.method.listSlots));
}

/** The firmware has the three boot options of a node, in their order. */
export function areInOrder({ bootOptions }: Pick<ListSlotsResponse, 'bootOptions'>): boolean {
  return bootOptions.length === BOOT_OPTIONS && bootOptions.every(({ correct }) => correct);
}

/** Waits until the newest entry of the history has ended and the root that it ended with runs. */
export function awaitSettled(node: TestNode, timeoutMs: number): Promise<UpdateHistoryEntry> {
  return node.until(timeoutMs, async () => {
    const [newest, running] = await Promise.all([
      historyOf(node).then(
        ([first]) => first,
        () => undefined, // it reboots
      ),
      runningNow(node),
    ]);
    if (newest === undefined || newest.outcome === UpdateOutcome.OPEN) return undefined;
    const isNew = newest.outcome === UpdateOutcome.COMMITTED;
    const expected = (isNew ? newest.to : newest.from)?.rootHash;
    return running?.rootHash === expected ? newest : undefined;
  });
}

/** Waits until the node answers and no update is open: whatever was going on has ended. */
export function awaitRest(node: TestNode, timeoutMs: number): Promise<Running> {
  return node.until(timeoutMs, async () => {
    const running = await runningNow(node);
    if (running === undefined) return undefined;
    const isOpen = await historyOf(node).then(
      ([newest]) => newest?.outcome === UpdateOutcome.OPEN,
      () => true, // it reboots
    );
    return isOpen ? undefined : running;
  });
}

/**
 * How often the machine started, by its console from byte `mark` on: how often a kernel began, or the firmware took up the
 * same boot option, whichever is more. Starts that end in the firmware or in the loader count.
 */
export async function bootsSince(node: TestNode, mark: number): Promise<number> {
  const text = await node.consoleText(mark);
  const taken = [...text.matchAll(OPTION_START)].map(([, option]) => option);
  const times = taken.map((option) => taken.filter((other) => other === option).length);
  return Math.max(0, text.match(KERNEL_START)?.length ?? 0, ...times);
}

/** Names of checks that fail. */
export async function failingChecks(node: TestNode): Promise<string[]> {
  const { checks } = await node.health();
  return checks.filter(({ state }) => state === 'failing').map(({ name }) => name);
}

/**
 * The node answers, nothing fails in its health, and its history has every entry of `known`: a damaged one is set aside,
 * and begins anew.
 *
 * @returns ids of the history
 */
export async function assertWell(
  node: TestNode,
  what: string,
  known: readonly string[] = [],
): Promise<readonly string[]> {
  assert.deepEqual(await failingChecks(node), [], what);
  const ids = (await historyOf(node)).map(({ id }) => id);
  // Of a full one the oldest are forgotten.
  const kept = ids.length < HISTORY_MAX ? known : known.slice(0, HISTORY_MAX / 2);
  const lost = kept.filter((id) => !ids.includes(id));
  assert.deepEqual(lost, [], `${what}: lost from the history`);
  return ids;
}
