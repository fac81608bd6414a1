/**
 * Readers of the text files of /proc, /sys and /etc that the agent reports from. Pure; what they cannot read they leave out.
 */

/** One mount of /proc/<pid>/mountinfo. */
export interface MountLine {
  readonly mountPoint: string;
  /** "major:minor" */
  readonly device: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly superOptions: readonly string[];
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );

/** Mounts of a mountinfo file, in mount order (proc_pid_mountinfo(5)). */
export function parseMountinfo(text: string): MountLine[] {
  return text.split('\n').flatMap((line) => {
    const [own = '', filesystem] = line.split(' - ');
    const [, , device = '', , mountPoint, options] = own.split(' ');
    const [type, source, superOptions] = filesystem?.split(' ') ?? [];
    if (mountPoint === undefined || options === undefined || type === undefined) return [];
    return [
      {
        mountPoint: unescapeOctal(mountPoint),
        device,
        type,
        source: unescapeOctal(source ?? ''),
        options: options.split(','),
        superOptions: superOptions?.split(',') ?? [],
      },
    ];
  });
}

/** `Name: value` lines in which the value is a number of kB, in bytes: meminfo, smaps_rollup, status. */
export function parseKilobytes(text: string): ReadonlyMap<string, number> {
  return new Map(
    [...text.matchAll(/^([^:\n]{1,64}):\s+(\d{1,15}) kB$/gm)].map(([, key = '', value]) => [
      key,
      Number(value) * 1024,
    ]),
  );
}

/** Facts of /proc/<pid>/stat that the agent needs; undefined for a line that is not one. */
export function parseStat(text: string): { readonly parentPid: number } | undefined {
  // The name in parentheses may hold spaces and parentheses: what counts stands behind the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const parentPid = Number(fields[1]);
  return text.includes(')') && Number.isInteger(parentPid) ? { parentPid } : undefined;
}

/** Values of an os-release file (os-release(5)). */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/^([A-Z_0-9]{1,64})=(.*)$/gm)].map(([, key = '', value = '']) => [
      key,
      value.replace(/^(["'])(.*)\1$/, '$2'),
    ]),
  );
}

/** Arguments of a kernel command line; quotes keep spaces together. */
export function parseCommandLine(text: string): ReadonlyMap<string, string> {
  const words = text.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  return new Map(
    words.map((word) => {
      const [key = '', ...rest] = word.split('=');
      return [key, rest.join('=').replaceAll('"', '')];
    }),
  );
}

/** dm-verity root hash named on a kernel command line: keel.slot-hash=, else the table of dm-mod.create=. */
export function rootHashOf(commandLine: string): string {
  const words = parseCommandLine(commandLine);
  const named = words.get('keel.slot-hash') ?? '';
  if (/^[0-9a-f]{64}$/.test(named)) return named;
  return / sha256 ([0-9a-f]{64}) /.exec(words.get('dm-mod.create') ?? '')?.[1] ?? '';
}

/** The word in brackets of a file such as /sys/kernel/security/lockdown: "none [integrity] confidentiality". */
export function chosenWord(text: string): string {
  return /\[([^\]]+)\]/.exec(text)?.[1] ?? '';
}

/** `KEY=value` lines of a uevent file. */
export function parseUevent(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
    }),
  );
}
