/**
 * Keeps the traces of a trial where the next boot finds them: the last lines of kernel log and agent on the state
 * partition while it runs, and the reason for which it ended there and on the EFI system partition.
 */
import { CONSOLE_BYTES_MAX, oneLine } from '@keelos/proto/trial-traces.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { kernelLogLine } from '../core/kernel-log-line.ts';
import { createTextTail, lastLines } from '../core/text-tail.ts';
import { writeEspNote } from './esp-note.ts';
import { bounded, type Machine, reasonOf } from './machine.ts';

/** Traces of the trial of this boot. */
export interface TrialTraces {
  /** Removes what an earlier trial left, and keeps the console from now on. */
  begin(): void;
  /** Writes the console as it is now and, when no reason was kept yet, this one. Never rejects; takes a bounded time. */
  keep(reason: string): Promise<void>;
  /** The trial is committed: nothing is kept any more. */
  drop(): void;
}

/** How often the console is written while it changes: a hang loses at most this much of it. */
export const KEEP_EVERY_MS = 10_000;
/** Time for a write to a slow disk. */
export const KEEP_MS = 5_000;
const FILE_MODE = 0o600;
/** Records of the kernel log that are read at once; its buffer holds fewer. */
const RECORDS_MAX = 20_000;
const AGENT_BYTES_MAX = 4_096;
const AGENT_LINES_MAX = 200;

/** Traces that are kept from {@link TrialTraces.begin} on. `agentLines` gives the last lines of the agent's output. */
export function createTrialTraces(
  machine: Machine,
  agentLines: (count: number) => readonly string[],
): TrialTraces {
  const kernelTail = createTextTail(CONSOLE_BYTES_MAX - AGENT_BYTES_MAX);
  let isKeeping = false;
  let isReasonKept = false;
  let written = '';
  // One after another: they write the same files.
  let work = Promise.resolve();

  const consoleText = (): string => {
    for (const record of machine.kernelLogReader.read(RECORDS_MAX)) {
      const line = kernelLogLine(record);
      if (line !== undefined) kernelTail.push(line);
    }
    const agent = agentLines(AGENT_LINES_MAX).map((line) => `agent: ${line}`);
    return [...kernelTail.lines(), ...lastLines(agent, AGENT_BYTES_MAX), ''].join('\n');
  };
  const writeFile = async (path: string, text: string) => {
    const { files, clock } = machine;
    const write = files.replaceDurably(path, text, FILE_MODE);
    if ((await bounded(clock, KEEP_MS, write)) === 'timeout') throw new Error('the disk is slow');
  };
  const writeConsole = async () => {
    const text = consoleText();
    if (text === written) return;
    await writeFile(UPDATE_PATHS.trialConsole, text);
    written = text;
  };
  const writeReason = async (reason: string) => {
    if (isReasonKept) return;
    isReasonKept = true;
    const timeMs = machine.clock.wallMs();
    const line = `${new Date(timeMs).toISOString()} ${oneLine(reason)}\n`;
    const note = async () => {
      const problem = await writeEspNote(machine, { timeMs, reason });
      if (problem !== '') machine.log.error(`trial note: ${problem}`);
    };
    // Beside each other: a state partition that takes nothing must not cost the note.
    await Promise.all([attempt(() => writeFile(UPDATE_PATHS.trialGivenUp, line)), attempt(note)]);
  };
  const attempt = async (what: () => Promise<void>) => {
    try {
      await what();
    } catch (error) {
      machine.log.error(`trial traces: ${reasonOf(error)}`);
    }
  };
  const keepRegularly = () => {
    if (!isKeeping) return;
    work = work.then(() => attempt(writeConsole));
    machine.clock.after(KEEP_EVERY_MS, keepRegularly);
  };
  const removeAll = () => {
    const { trialConsole, trialGivenUp, crashReport } = UPDATE_PATHS;
    for (const path of [trialConsole, trialGivenUp, crashReport]) machine.files.remove(path);
  };
  return {
    begin() {
      isKeeping = true;
      try {
        removeAll();
      } catch (error) {
        machine.log.error(`trial traces: ${reasonOf(error)}`);
      }
      keepRegularly();
    },
    async keep(reason) {
      work = work.then(() => attempt(() => writeReason(reason))).then(() => attempt(writeConsole));
      await work;
    },
    drop() {
      isKeeping = false;
      work = work.then(() => attempt(async () => removeAll()));
    },
  };
}
