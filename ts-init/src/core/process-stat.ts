/**
 * Who is a zombie that nobody else collects? Reads /proc/<pid>/stat, see proc(5).
 */

/** The two facts of a stat line that matter here. */
export interface ProcessStat {
  readonly state: string;
  readonly parentPid: number;
}

/** Parses a stat line; the name in parentheses may hold anything. Undefined when it is not one. */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const rest = text.slice(text.lastIndexOf(')') + 1);
  const match = /^ (\S) (\d+) /.exec(rest);
  if (match === null) return undefined;
  const [, state = '', parent = ''] = match;
  return { state, parentPid: Number(parent) };
}

/** Process ids in a line of /proc/<pid>/task/<tid>/children. */
export function parseChildren(text: string): number[] {
  return text
    .split(/\s+/)
    .filter((word) => /^[1-9]\d*$/.test(word))
    .map(Number);
}

/** True for a dead child of PID 1 that no one in PID 1 started. */
export function isOrphanedZombie(
  stat: ProcessStat | undefined,
  child: { readonly pid: number; readonly ownPids: ReadonlySet<number> },
): boolean {
  return stat?.state === 'Z' && stat.parentPid === 1 && !child.ownPids.has(child.pid);
}
