/** The history of updates and rollbacks on the state partition. */
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { HistoryEntry } from '@keelos/proto/update-record.ts';
import { HISTORY_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { fittingHistory, historyFrom, withEntry } from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';
import { readRecord } from './update-records.ts';

/** Room for the entries; a record has a little more (RECORD_BYTES_MAX). */
const HISTORY_BYTES_MAX = 900_000;

/** How an entry ended. */
export type HistoryEnd = Pick<HistoryEntry, 'outcome'> &
  Partial<Pick<HistoryEntry, 'cause' | 'code' | 'evidence' | 'automatic'>>;

/** End of an install that ended with the agent that ran it. */
export const CUT_OFF = {
  outcome: 'failed',
  cause: 'The node, or its agent, went down during the install.',
  code: 'E_UPDATE_CUT_OFF',
} as const satisfies HistoryEnd;

/** An entry that has just begun. */
export function openEntry(
  of: Pick<HistoryEntry, 'id' | 'kind' | 'who' | 'reason' | 'from' | 'to'>,
  startedMs: number,
): HistoryEntry {
  const { id, kind, who, reason, from, to } = of;
  return {
    id,
    kind,
    who,
    reason,
    from,
    to,
    automatic: false,
    outcome: 'open',
    startedMs,
    endedMs: 0,
    cause: '',
    code: '',
    evidence: [],
  };
}

type Ports = Pick<AgentPorts, 'state' | 'log' | 'clock'>;

/** Reads and writes the history; nothing of it is kept in memory. */
export class UpdateHistory {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** The newest first. @throws KeelError E_STATE_UNAVAILABLE */
  entries(): readonly HistoryEntry[] {
    const form = { path: UPDATE_PATHS.history, kind: HISTORY_RECORD, from: historyFrom };
    return readRecord(this.#ports, form) ?? [];
  }

  /** One entry; undefined when it is not there, or not any more. */
  find(id: string): HistoryEntry | undefined {
    return this.entries().find((entry) => entry.id === id);
  }

  /** Adds an entry, or replaces the one of its id. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
  put(entry: HistoryEntry): void {
    const entries = fittingHistory(withEntry(this.entries(), entry), HISTORY_BYTES_MAX);
    this.#ports.state.replace(UPDATE_PATHS.history, encodeRecord(HISTORY_RECORD, { entries }));
  }

  /** Changes an open entry; one that is closed, or not there, stays as it is. @throws KeelError as {@link put} */
  note(id: string, change: Partial<Pick<HistoryEntry, 'cause' | 'evidence'>>): void {
    const entry = this.find(id);
    if (entry?.outcome === 'open') this.put({ ...entry, ...change });
  }

  /** Closes an open entry. One that is closed, or not there, stays as it is. @throws KeelError as {@link put} */
  close(id: string, end: HistoryEnd): void {
    const entry = this.find(id);
    if (entry?.outcome !== 'open') return;
    this.put({ ...entry, ...end, endedMs: this.#ports.clock.nowMs() });
  }
}
