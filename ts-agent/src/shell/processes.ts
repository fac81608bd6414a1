/** The processes of the node, from /proc. */
import { parseKilobytes, parseStat } from '../core/proc-text.ts';
import type { KernelFiles } from '../sys/kernel-files.ts';

/** Processes that are looked at. */
const PROCESSES_MAX = 8_192;

/** One process with its memory in bytes. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parentPid: number;
  readonly command: string;
  readonly rssBytes: bigint;
  readonly pssBytes: bigint;
}

/** User-space processes by pid. One that ends while it is read is left out. */
export async function listProcesses(
  files: KernelFiles,
  signal: AbortSignal,
): Promise<ProcessFacts[]> {
  const pids = (await files.list('/proc'))
    .filter((name) => /^\d{1,7}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
    .slice(0, PROCESSES_MAX);
  const found: ProcessFacts[] = [];
  for (const pid of pids) {
    signal.throwIfAborted();
    const facts = await processFacts(files, pid);
    if (facts !== undefined) found.push(facts);
  }
  return found;
}

async function processFacts(files: KernelFiles, pid: number): Promise<ProcessFacts | undefined> {
  // A kernel thread has no arguments.
  const [command = ''] = ((await files.readText(`/proc/${pid}/cmdline`)) ?? '').split('\0');
  if (command === '') return undefined;
  const stat = parseStat((await files.readText(`/proc/${pid}/stat`)) ?? '');
  if (stat === undefined) return undefined;
  const memory = parseKilobytes((await files.readText(`/proc/${pid}/smaps_rollup`)) ?? '');
  return {
    pid,
    parentPid: stat.parentPid,
    command,
    rssBytes: BigInt(memory.get('Rss') ?? 0),
    pssBytes: BigInt(memory.get('Pss') ?? 0),
  };
}
