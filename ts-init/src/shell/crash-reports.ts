/**
 * Takes what the system before this one left behind: the kernel's last words from pstore, and the note on the EFI system
 * partition. Both end up on the state partition, where the agent reads them, and only then give their place free.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';
import { CRASH_BYTES_MAX, crashReportText, oneLine } from '@keelos/proto/trial-traces.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { joinCrash, type PstoreFile } from '../core/crash-report.ts';
import { readEspNote, writeEspNote } from './esp-note.ts';
import { bounded, type Machine, reasonOf } from './machine.ts';

const PSTORE = '/sys/fs/pstore';
/** Files that are looked at. The kernel writes one for each KiB of its log or so, and ten KiB for each crash. */
const FILES_MAX = 128;
/** Time for a write to a slow disk. */
const WRITE_MS = 5_000;
const FILE_MODE = 0o600;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

type StateMode = BootReport['state']['mode'];

/** What this boot is. */
export interface ThisBoot {
  readonly stateMode: StateMode;
  /** Its trial must not be blamed for what is older: nothing is kept then. */
  readonly isTrial: boolean;
}

interface Keeping {
  readonly isDurable: boolean;
  readonly isTrial: boolean;
}

/** Never rejects, and takes a bounded time. */
export async function keepCrashReports(
  machine: Machine,
  { stateMode, isTrial }: ThisBoot,
): Promise<void> {
  const isDurable = stateMode === 'disk' || stateMode === 'backup-superblock';
  await attempt(machine, () => keepCrash(machine, { isDurable, isTrial }));
  await attempt(machine, () => keepNote(machine, { isDurable, isTrial }));
}

async function keepCrash(machine: Machine, { isDurable, isTrial }: Keeping): Promise<void> {
  const { files, log } = machine;
  const names = files.list(PSTORE).slice(0, FILES_MAX);
  const found = names.flatMap((name) => readFile(machine, name) ?? []);
  const text = joinCrash(found);
  if (!files.exists(UPDATE_PATHS.trial)) {
    // Traces are of interest only to a trial that has not been judged yet; the next one must not be blamed for them.
    const { crashReport, trialConsole, trialGivenUp } = UPDATE_PATHS;
    for (const path of [crashReport, trialConsole, trialGivenUp]) files.remove(path);
  }
  if (text !== '') {
    log.error(`the system before this one crashed: ${oneLine(panicLine(text))}`);
    const foundInBoot = files.readText(BOOT_ID).trim();
    const report = crashReportText({ foundInBoot, text });
    if (!isTrial) await write(machine, UPDATE_PATHS.crashReport, report);
  }
  if (!isDurable) return;
  // Gives the firmware its room for variables back; pieces of other kinds go as well.
  for (const name of names) files.remove(`${PSTORE}/${name}`);
}

function readFile(machine: Machine, name: string): PstoreFile | undefined {
  try {
    const text = machine.files.readText(`${PSTORE}/${name}`);
    return { name, text: text.slice(0, CRASH_BYTES_MAX) };
  } catch (error) {
    machine.log.error(`${PSTORE}/${name}: ${reasonOf(error)}`);
    return undefined;
  }
}

/** The line that says why, else the last one. */
function panicLine(text: string): string {
  const lines = text.split('\n');
  return lines.find((line) => line.includes('Kernel panic')) ?? lines.at(-1) ?? '';
}

/** The note is worth keeping only when the state partition has not the same line. */
async function keepNote(machine: Machine, { isDurable, isTrial }: Keeping): Promise<void> {
  const note = await readEspNote(machine);
  if (typeof note === 'string') {
    if (note === 'torn' && isDurable) await writeEspNote(machine, undefined);
    return;
  }
  if (!isTrial && !machine.files.exists(UPDATE_PATHS.trialGivenUp)) {
    const line = `${new Date(note.timeMs).toISOString()} ${note.reason}\n`;
    await write(machine, UPDATE_PATHS.trialGivenUp, line);
  }
  if (!isDurable) return;
  const problem = await writeEspNote(machine, undefined);
  if (problem !== '') throw new Error(`note: ${problem}`);
}

async function write(machine: Machine, path: string, text: string): Promise<void> {
  const written = machine.files.replaceDurably(path, text, FILE_MODE);
  if ((await bounded(machine.clock, WRITE_MS, written)) === 'timeout') {
    throw new Error(`${path}: not written in ${WRITE_MS} ms`);
  }
}

async function attempt(machine: Machine, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    machine.log.error(`crash reports: ${reasonOf(error)}`);
  }
}
