/** The records about updates on the state partition: each read when it is needed, replaced as a whole. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { RecordKind } from '@keelos/proto/state-record.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type {
  EpochRecord,
  FailedRoot,
  KnownEpoch,
  ResumeRecord,
  TrialRecord,
} from '@keelos/proto/update-record.ts';
import {
  EPOCH_RECORD,
  FAILED_ROOTS_RECORD,
  RESUME_RECORD,
  TRIAL_RECORD,
  UPDATE_PATHS,
} from '@keelos/proto/update-record.ts';
import {
  epochsFrom,
  failedRootsFrom,
  resumeFrom,
  trialFrom,
  withFailedRoot,
  withKnownEpoch,
} from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';

/** Where records are. */
export type RecordPorts = Pick<AgentPorts, 'state' | 'log'>;

/** How a record is read. */
export interface RecordForm<T> {
  readonly path: string;
  readonly kind: RecordKind;
  /** Undefined for a value of another shape. */
  readonly from: (value: unknown) => T | undefined;
}

/**
 * A record; undefined when there is none. A damaged one is set aside, so that what is left of it can be looked at, and
 * counts as none.
 *
 * @throws KeelError E_STATE_UNAVAILABLE when it cannot be read
 */
export function readRecord<T>({ state, log }: RecordPorts, form: RecordForm<T>): T | undefined {
  try {
    const bytes = state.read(form.path);
    if (bytes === undefined) return undefined;
    const value = form.from(decodeRecord(form.kind, bytes));
    if (value !== undefined) return value;
    throw new KeelError('E_RECORD_DAMAGED', `Cannot read ${form.path}: unexpected content`);
  } catch (cause) {
    if (!(cause instanceof KeelError) || cause.code !== 'E_RECORD_DAMAGED') throw cause;
    log(`record set aside: ${cause.message}`);
    setAside({ state, log }, form.path);
    return undefined;
  }
}

function setAside({ state, log }: RecordPorts, path: string): void {
  try {
    state.setAside(path);
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`damaged record left in place: ${cause.message}`);
  }
}

const TRIAL = { path: UPDATE_PATHS.trial, kind: TRIAL_RECORD, from: trialFrom };
const RESUME = { path: UPDATE_PATHS.resume, kind: RESUME_RECORD, from: resumeFrom };
const EPOCH = { path: UPDATE_PATHS.epoch, kind: EPOCH_RECORD, from: epochsFrom };
const FAILED_ROOTS = {
  path: UPDATE_PATHS.failedRoots,
  kind: FAILED_ROOTS_RECORD,
  from: failedRootsFrom,
};

/** What is on trial. */
export const trialRecord = (ports: RecordPorts) => readRecord<TrialRecord>(ports, TRIAL);

/** How far an install is. */
export const resumeRecord = (ports: RecordPorts) => readRecord<ResumeRecord>(ports, RESUME);

/** Epoch below which this node takes no release; 0 when none was committed yet. */
export const epochFloor = (ports: RecordPorts): number => epochs(ports).epoch;

/** Security epoch of a root that has run here; undefined when it is not remembered. */
export function knownEpoch(ports: RecordPorts, rootHash: string): number | undefined {
  return epochs(ports).roots.find((one) => one.rootHash === rootHash)?.epoch;
}

function epochs(ports: RecordPorts): EpochRecord {
  return readRecord<EpochRecord>(ports, EPOCH) ?? { epoch: 0, roots: [] };
}

/** Roots that failed, the newest first. */
export const failedRoots = (ports: RecordPorts): readonly FailedRoot[] =>
  readRecord<readonly FailedRoot[]>(ports, FAILED_ROOTS) ?? [];

/** @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function keepTrial({ state }: RecordPorts, record: TrialRecord): void {
  state.replace(UPDATE_PATHS.trial, encodeRecord(TRIAL_RECORD, record));
}

/** @throws KeelError E_STATE_UNAVAILABLE */
export function forgetTrial({ state }: RecordPorts): void {
  state.remove(UPDATE_PATHS.trial);
}

/** @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function keepResume({ state }: RecordPorts, record: ResumeRecord): void {
  state.replace(UPDATE_PATHS.resume, encodeRecord(RESUME_RECORD, record));
}

/** @throws KeelError E_STATE_UNAVAILABLE */
export function forgetResume({ state }: RecordPorts): void {
  state.remove(UPDATE_PATHS.resume);
}

/** Raises the floor; it never sinks. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function raiseEpochFloor(ports: RecordPorts, epoch: number): void {
  const known = epochs(ports);
  if (epoch <= known.epoch) return;
  ports.state.replace(UPDATE_PATHS.epoch, encodeRecord(EPOCH_RECORD, { ...known, epoch }));
}

/** Nothing is written when it is known. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function rememberEpoch(ports: RecordPorts, known: KnownEpoch): void {
  const { epoch, roots } = epochs(ports);
  if (roots.some((one) => one.rootHash === known.rootHash && one.epoch === known.epoch)) return;
  const record: EpochRecord = { epoch, roots: withKnownEpoch(roots, known) };
  ports.state.replace(UPDATE_PATHS.epoch, encodeRecord(EPOCH_RECORD, record));
}

/** @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function rememberFailedRoot(ports: RecordPorts, root: FailedRoot): void {
  const roots = withFailedRoot(failedRoots(ports), root);
  ports.state.replace(UPDATE_PATHS.failedRoots, encodeRecord(FAILED_ROOTS_RECORD, { roots }));
}

/** A root that proved itself is not held against itself any more. @throws KeelError E_STATE_FULL, E_STATE_UNAVAILABLE */
export function forgiveRoot(ports: RecordPorts, rootHash: string): void {
  const all = failedRoots(ports);
  const roots = all.filter((one) => one.rootHash !== rootHash);
  if (roots.length === all.length) return;
  ports.state.replace(UPDATE_PATHS.failedRoots, encodeRecord(FAILED_ROOTS_RECORD, { roots }));
}
