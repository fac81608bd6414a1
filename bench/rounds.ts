/** Measures things in turn, so that whatever else the machine does burdens all of them alike. */

/** What a subject is asked for on the command line. */
export interface BenchOptions {
  /** How often each is measured. */
  readonly runs: number;
  /** The caller's own file or folder, where the subject takes one. */
  readonly input?: string | undefined;
  /** The caller's own pair of files, where the subject takes two. */
  readonly older?: string | undefined;
  readonly newer?: string | undefined;
  /** Pairs that are measured, by name; none: all. */
  readonly pairs?: readonly string[];
}

/** Does the work once and tells its measure, or nothing: then the seconds that it took are the measure. */
export type Contender = () => Promise<number | undefined>;

/**
 * One value a run for each contender. They take turns, each run begins with another one, and a first round is thrown
 * away: caches are filled and code is compiled in it.
 */
export async function inTurn<Name extends string>(
  runs: number,
  contenders: Readonly<Record<Name, Contender>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contenders) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  for (let run = -1; run < runs; run++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(turn + run + names.length) % names.length] as Name;
      const start = performance.now();
      const value = await contenders[name]();
      const seconds = (performance.now() - start) / 1000;
      if (run >= 0) values[name]?.push(value ?? seconds);
    }
  }
  return values as Record<Name, number[]>;
}

/** Seconds of several runs over `bytes` as millions of bytes a second. */
export function megabytesPerSecond(bytes: number, seconds: readonly number[]): number[] {
  return seconds.map((each) => bytes / 1e6 / each);
}
