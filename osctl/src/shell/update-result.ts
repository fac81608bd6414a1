/** What update and rollback end with: one object for programs, one last line for people. */
import type { KeelError } from '@keelos/proto/errors.ts';
import { type GetStatusResponse, SlotSchema } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  UpdateHistoryEntrySchema,
  type UpdateStatus,
  UpdateStatusSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { enumName, type PlainObject, toPlain } from '../core/plain.ts';
import { printable } from '../core/render.ts';
import { failureOfEntry, failureOfStatus } from '../core/update-text.ts';
import type { Outcome } from './invocation.ts';
import { type Verdict, verdictText } from './trial-verdict.ts';

/** How a command ended. */
export interface Ended {
  /** State of the install; absent for a rollback. */
  readonly status?: UpdateStatus;
  /** Present when the verdict was waited for. */
  readonly verdict?: Verdict;
  readonly tookMs: number;
  /** Last line when there is no verdict. */
  readonly text: string;
  /** Further facts for programs. */
  readonly facts?: PlainObject;
}

function runningData({ version, slot, rootHash, bootId }: GetStatusResponse): PlainObject {
  return { version, slot: enumName(SlotSchema, slot), rootHash, bootId };
}

/** The outcome of a command. What did not end well is reported after the data was printed. */
export function outcomeOf({ status, verdict, tookMs, text, facts }: Ended): Outcome {
  const failure: KeelError | undefined =
    verdict === undefined
      ? status === undefined
        ? undefined
        : failureOfStatus(status)
      : failureOfEntry(verdict.entry);
  const data = {
    ...facts,
    ...(status === undefined ? {} : { status: toPlain(UpdateStatusSchema, status) }),
    history: verdict?.isRecorded !== true ? null : toPlain(UpdateHistoryEntrySchema, verdict.entry),
    running: verdict === undefined ? null : runningData(verdict.running),
    healthy: verdict?.isHealthy === true ? true : null,
    seconds: Math.round(tookMs) / 1000,
  };
  if (failure !== undefined) return { view: { data, lines: [] }, failure };
  const line = verdict === undefined ? text : verdictText(verdict);
  return { view: { data, lines: [printable(line)] } };
}
