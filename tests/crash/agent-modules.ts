/** The parts of the agent that a crash test runs, of one variant. */

import type { BootLadder } from '@keelos/ts-agent/shell/boot-ladder.ts';
import type { BootState } from '@keelos/ts-agent/shell/boot-state.ts';
import type { Committer } from '@keelos/ts-agent/shell/committer.ts';
import type { bootEntryRoots } from '@keelos/ts-agent/shell/known-roots.ts';
import type { Scheduler } from '@keelos/ts-agent/shell/scheduler.ts';
import type { setSlotGuid } from '@keelos/ts-agent/shell/slot-guid.ts';
import type { findSlot } from '@keelos/ts-agent/shell/slots.ts';
import type { UpdateEngine } from '@keelos/ts-agent/shell/update-engine.ts';
import type { createStateStore } from '@keelos/ts-agent/sys/state-store.ts';
import { agentVariant, type SourceEdit, unusedEdits } from './agent-variants.ts';

/** Classes and functions of one variant. */
export interface AgentModules {
  readonly BootLadder: typeof BootLadder;
  readonly BootState: typeof BootState;
  readonly Committer: typeof Committer;
  readonly Scheduler: typeof Scheduler;
  readonly UpdateEngine: typeof UpdateEngine;
  readonly setSlotGuid: typeof setSlotGuid;
  readonly findSlot: typeof findSlot;
  readonly bootEntryRoots: typeof bootEntryRoots;
  readonly createStateStore: typeof createStateStore;
}

/** A root of a few blocks is written in pieces, and flushed between them, as one of half a GiB is. */
const SMALL_PIECES: SourceEdit = {
  file: 'shell/root-copy.ts',
  find: 'WRITE_BYTES = 1_048_576',
  replace: 'WRITE_BYTES = 4_096',
};
const FREQUENT_FLUSHES: SourceEdit = {
  file: 'shell/root-copy.ts',
  find: 'FLUSH_BYTES = 16 * WRITE_BYTES',
  replace: 'FLUSH_BYTES = 3 * WRITE_BYTES',
};

/** Loads the agent, with `edits` in it. @throws Error when an edit no longer fits its module */
export async function loadAgent(name: string, edits: readonly SourceEdit[]): Promise<AgentModules> {
  const load = agentVariant(name, [SMALL_PIECES, FREQUENT_FLUSHES, ...edits]);
  const parts = await Promise.all([
    load('shell/boot-ladder.ts'),
    load('shell/boot-state.ts'),
    load('shell/committer.ts'),
    load('shell/known-roots.ts'),
    load('shell/scheduler.ts'),
    load('shell/slot-guid.ts'),
    load('shell/slots.ts'),
    load('shell/update-engine.ts'),
    load('sys/state-store.ts'),
  ]);
  const [unused] = unusedEdits(name);
  if (unused !== undefined) throw new Error(`${unused.file} is no part of what is loaded`);
  return Object.assign({}, ...parts) as AgentModules;
}
