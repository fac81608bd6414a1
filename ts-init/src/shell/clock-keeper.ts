/**
 * Sets the clock at boot, raises it on request, and remembers the last known time.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { BootReport, InitRequest } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import {
  CLOCK_FLOOR,
  type ClockWindow,
  clockWindow,
  decideClock,
  decideRaise,
  floorToSave,
  parseBuildEpoch,
  parseClockFloor,
} from '../core/clock-floor.ts';
import { codeOf, type Machine, reasonOf } from './machine.ts';

/** The clock of the node. */
export interface ClockKeeper {
  /** Judges and sets the clock. @throws when os-release or the clock cannot be used. */
  setAtBoot(): void;
  /** @throws KeelError E_INVALID_ARGUMENT when the time is outside the believed window. */
  raise(request: Extract<InitRequest, { op: 'raiseClock' }>): void;
  /** Remembers the present time as the last known, when it is plausible. Rejects when it cannot be written. */
  saveFloor(): Promise<void>;
}

const SAVE_EVERY_MS = 600_000;
const FLOOR_MODE = 0o600;

/** A keeper; `changed` is told what the boot report has to say about the clock. */
export function createClockKeeper(
  machine: Machine,
  changed: (clock: BootReport['clock']) => void,
): ClockKeeper {
  let window: ClockWindow | undefined;
  let report: BootReport['clock'] = { source: 'rtc', trusted: false, rtcMs: 0, problem: '' };
  const tell = (more: Partial<BootReport['clock']>) => {
    report = { ...report, ...more };
    changed(report);
  };
  const writeFloor = async () => {
    const timeMs = window && floorToSave(machine.clock.wallMs(), window);
    if (window === undefined || timeMs === undefined) return;
    const bytes = encodeRecord(CLOCK_FLOOR, { timeMs });
    await machine.files.replaceDurably(NODE_PATHS.clockFloor, bytes, FLOOR_MODE);
    window = { ...window, floorMs: timeMs };
  };
  // One after another: they write the same file.
  let saving = Promise.resolve();
  const saveFloor = () => {
    const saved = saving.then(writeFloor);
    saving = saved.catch(() => {});
    return saved;
  };
  const saveOrTell = () =>
    saveFloor().catch((error) => machine.log.error(`last known time: ${reasonOf(error)}`));
  const saveRegularly = () => {
    machine.clock.after(SAVE_EVERY_MS, () => void saveOrTell().then(saveRegularly));
  };
  return {
    saveFloor,
    setAtBoot() {
      const rtcMs = machine.clock.wallMs();
      const buildMs = parseBuildEpoch(machine.files.readText(NODE_PATHS.osRelease));
      if (buildMs === undefined) {
        tell({ rtcMs, problem: `${NODE_PATHS.osRelease} has no BUILD_EPOCH` });
        throw new Error(`${NODE_PATHS.osRelease} has no BUILD_EPOCH`);
      }
      window = clockWindow({ buildMs, lastKnownMs: readLastKnown(machine) });
      const { setMs, ...decision } = decideClock(rtcMs, window);
      if (setMs !== undefined) machine.syscalls.setClock(setMs);
      tell({ ...decision, rtcMs });
      saveRegularly();
    },
    raise({ timeMs, source }) {
      if (window === undefined) {
        throw new KeelError('E_INVALID_ARGUMENT', 'Cannot set clock: no time is known to be past');
      }
      const nowMs = machine.clock.wallMs();
      const decision = decideRaise({ requestedMs: timeMs, source }, { nowMs, window });
      if (decision.action === 'refuse') {
        throw new KeelError('E_INVALID_ARGUMENT', `Cannot set clock: ${decision.reason}`);
      }
      if (decision.action === 'keep' && !decision.confirmed) return;
      if (decision.action === 'set') machine.syscalls.setClock(decision.timeMs);
      // What was wrong with the real-time clock stays in the report: it will be wrong again at the next boot.
      tell({ source, trusted: true });
      // The clock is set: a disk that takes nothing changes that no more.
      void saveOrTell();
    },
  };
}

/** Last known time; undefined when there is none or it is damaged, which the kernel log then says. */
function readLastKnown(machine: Machine): number | undefined {
  try {
    const bytes = machine.files.readBytes(NODE_PATHS.clockFloor);
    return parseClockFloor(decodeRecord(CLOCK_FLOOR, bytes));
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') machine.log.error(`last known time: ${reasonOf(error)}`);
    return undefined;
  }
}
