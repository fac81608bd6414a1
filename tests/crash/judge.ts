/** What must be true of a machine at any moment, and of one that has come to rest. */

import { COMMITTED_TRIES, LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { decodeRecord, type RecordKind } from '@keelos/proto/state-record.ts';
import {
  EPOCH_RECORD,
  FAILED_ROOTS_RECORD,
  type FailedRoot,
  HISTORY_RECORD,
  type HistoryEntry,
  RESUME_RECORD,
  SCHEDULES_RECORD,
  type Schedule,
  TRIAL_RECORD,
  UPDATE_DIR,
  UPDATE_PATHS,
} from '@keelos/proto/update-record.ts';
import { checkFat, type FatFindings } from './fat-check.ts';
import type { FileNames } from './file-names.ts';
import { FirmwareFat } from './firmware-fat.ts';
import { DEVICES, EXTENTS, extentOf, FIRMWARE_DEVICE } from './fresh-medium.ts';
import { type DeviceAccess, Hardware } from './hardware.ts';
import { type LoaderEntry, loaderEntries, readTable } from './machine.ts';
import type { Medium } from './medium.ts';
import type { Release } from './releases.ts';
import { SECTOR_BYTES } from './sectors.ts';

/** Every release that was ever signed, by root hash. */
export type Releases = ReadonlyMap<string, Release>;

/** Kinds of the records, by path. */
const KINDS: ReadonlyMap<string, RecordKind> = new Map([
  [UPDATE_PATHS.trial, TRIAL_RECORD],
  [UPDATE_PATHS.resume, RESUME_RECORD],
  [UPDATE_PATHS.history, HISTORY_RECORD],
  [UPDATE_PATHS.failedRoots, FAILED_ROOTS_RECORD],
  [UPDATE_PATHS.schedules, SCHEDULES_RECORD],
  [UPDATE_PATHS.epoch, EPOCH_RECORD],
]);

/** What a medium is judged by. */
export interface JudgedBy {
  readonly releases: Releases;
  /** On the disk from the beginning. */
  readonly first: Release;
  /** Its root was spoilt on purpose, so its entry promises nothing. */
  readonly rotten?: Release;
  /** A committed release may have given way to the other one: its root, or its entry, was spoilt on purpose. */
  readonly mayFallBack?: boolean;
  /** The state partition was lost, and the history of before with it. */
  readonly isHistoryLost?: boolean;
}

/** The EFI system partition of a medium, as the firmware sees it. */
interface Esp {
  readonly device: DeviceAccess;
  readonly fat: FirmwareFat;
  readonly findings: FatFindings;
  /** In the loader's order. */
  readonly entries: readonly LoaderEntry[];
}

function espOf(medium: Medium): Esp {
  const device = new Hardware(medium, EXTENTS).device(FIRMWARE_DEVICE);
  const fat = new FirmwareFat(device, extentOf(DEVICES.esp).offsetBytes);
  return { device, fat, findings: checkFat(fat), entries: loaderEntries(fat) };
}

/**
 * What is wrong at the moment of a cut. An entry is a promise: its kernel image is whole, and so is the root that the
 * kernel image starts. The records can be read. There is something to start.
 */
export function problemsAtCut(medium: Medium, by: JudgedBy): string[] {
  return [...recordProblems(medium.files), ...promiseProblems(espOf(medium), by)];
}

function promiseProblems({ device, fat, findings, entries }: Esp, by: JudgedBy): string[] {
  const problems: string[] = [];
  const { partitions } = readTable(device);
  for (const { fileName, uki } of entries) {
    const bytes = fat.read(uki);
    const release = [...by.releases.values()].find((each) => bytes?.equals(each.uki) === true);
    if (release === undefined) {
      problems.push(`${fileName}: its kernel image ${uki} is not whole`);
      continue;
    }
    if (release === by.rotten) continue;
    const guid = slotGuid(release.rootHash);
    const partition = partitions.find((each) => each.guid === guid);
    if (partition === undefined) {
      problems.push(`${fileName}: no partition has the GUID of ${release.version}`);
      continue;
    }
    const offset = partition.firstLba * SECTOR_BYTES;
    if (!device.read(offset, release.root.length).equals(release.root)) {
      problems.push(`${fileName}: the root of ${release.version} is not whole`);
    }
  }
  return [...problems, ...findings.errors.map((error) => `EFI system partition: ${error}`)];
}

/** Records that cannot be read, and leftovers of such. */
function recordProblems(files: FileNames): string[] {
  const problems: string[] = [];
  for (const [path, kind] of KINDS) {
    const bytes = files.read(path);
    if (bytes === undefined) continue;
    try {
      decodeRecord(kind, bytes);
    } catch (cause) {
      problems.push(String(cause));
    }
  }
  const damaged = files.list(UPDATE_DIR).filter((name) => name.endsWith('.damaged'));
  return [...problems, ...damaged.map((name) => `${name} was set aside`)];
}

/** The history on a medium, the newest first. */
export function historyOf({ files }: Pick<Medium, 'files'>): readonly HistoryEntry[] {
  const bytes = files.read(UPDATE_PATHS.history);
  if (bytes === undefined) return [];
  const { entries } = decodeRecord(HISTORY_RECORD, bytes) as { readonly entries: HistoryEntry[] };
  return entries;
}

/** The schedules on a medium. */
export function schedulesOf({ files }: Pick<Medium, 'files'>): readonly Schedule[] {
  const bytes = files.read(UPDATE_PATHS.schedules);
  if (bytes === undefined) return [];
  return (decodeRecord(SCHEDULES_RECORD, bytes) as { readonly schedules: Schedule[] }).schedules;
}

/** Roots that are remembered because their trial failed. */
export function failedRootsOf({ files }: Pick<Medium, 'files'>): ReadonlySet<string> {
  const bytes = files.read(UPDATE_PATHS.failedRoots);
  const { roots } = (
    bytes === undefined ? { roots: [] } : decodeRecord(FAILED_ROOTS_RECORD, bytes)
  ) as {
    readonly roots: readonly FailedRoot[];
  };
  return new Set(roots.map(({ rootHash }) => rootHash));
}

/** A root whose last trial failed is remembered. */
function failedRootProblems(medium: Medium, [last]: readonly HistoryEntry[]): string[] {
  if (last?.outcome !== 'rolled-back' || failedRootsOf(medium).has(last.to.rootHash)) return [];
  return [`${last.to.version} failed its trial, and is not remembered`];
}

/** Ids of the history whose trial has begun and not been settled: its only try is spent, its outcome is open. */
export function unsettledTrials(medium: Medium): readonly string[] {
  const spent = espOf(medium).entries.filter(
    ({ name: { counter } }) => counter?.left === 0 && counter.done === 1,
  );
  return historyOf(medium)
    .filter(
      ({ outcome, to }) => outcome === 'open' && spent.some((one) => one.version === to.version),
    )
    .map(({ id }) => id);
}

/** A scheduled update is installed once. */
function scheduleProblems(medium: Medium, history: readonly HistoryEntry[]): string[] {
  const running = schedulesOf(medium).filter(({ state }) => state === 'running');
  const done = history.filter(
    ({ who, outcome }) => /^schedule /.test(who) && outcome === 'committed',
  );
  return [
    ...running.map(({ id }) => `schedule ${id} is running, and nothing runs`),
    ...(new Set(done.map(({ who }) => who)).size < done.length
      ? ['a schedule was done twice']
      : []),
  ];
}

/** What is wrong with a machine that runs `running`, has settled, and has nothing left to do. */
export function problemsAtRest(medium: Medium, running: Release, by: JudgedBy): string[] {
  const esp = espOf(medium);
  const problems = [...recordProblems(medium.files), ...promiseProblems(esp, by)];
  if (running.behaviour !== 'healthy') problems.push(`${running.version} runs, and is not healthy`);
  if (medium.files.read(UPDATE_PATHS.trial) !== undefined) problems.push('a trial record is left');
  const history = historyOf(medium);
  for (const { id, outcome, to } of history.filter((entry) => entry.outcome === 'open')) {
    problems.push(`history ${id} to ${to.version} is ${outcome}`);
  }
  problems.push(...scheduleProblems(medium, history), ...failedRootProblems(medium, history));
  const told = runningByHistory(history, by.first.rootHash);
  if (told !== running.rootHash && by.isHistoryLost !== true) {
    const version = by.releases.get(told)?.version ?? told;
    problems.push(`${running.version} runs, the history says ${version}`);
  }
  if (
    by.mayFallBack !== true &&
    history.some(
      ({ kind, automatic, outcome }) => kind === 'rollback' && automatic && outcome === 'committed',
    )
  ) {
    problems.push('a committed release gave way');
  }
  problems.push(...entryProblems(esp, running));
  const { lostClusters, areTablesDifferent } = esp.findings;
  if (lostClusters > 0) problems.push(`${lostClusters} clusters of the ESP are lost`);
  if (areTablesDifferent) problems.push('the allocation tables of the ESP differ');
  return problems;
}

/** Root that runs, if the history is true: only what was committed ran for good, a fallback included. */
function runningByHistory(history: readonly HistoryEntry[], first: string): string {
  return history.find(({ outcome }) => outcome === 'committed')?.to.rootHash ?? first;
}

function entryProblems({ entries: [next], fat }: Esp, running: Release): string[] {
  if (next === undefined) return ['the loader has no entry'];
  const problems: string[] = [];
  const second = fat.read(SECOND_LOADER_PATH);
  if (second === undefined || fat.read(LOADER_PATH)?.equals(second) !== true) {
    problems.push('the copies of the loader differ');
  }
  if (fat.read(next.uki)?.equals(running.uki) !== true) {
    problems.push(`${next.fileName} is next, and does not start ${running.version}`);
  }
  const { counter } = next.name;
  if (counter !== undefined && (counter.left !== COMMITTED_TRIES || counter.done !== 0)) {
    problems.push(`${next.fileName} has not got its tries back`);
  }
  return problems;
}
