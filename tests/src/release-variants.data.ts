/**
 * Releases that a node is asked to install in tests: good ones, and each way of being broken. All come from one second
 * build of the image; each has a root hash of its own, because a node remembers the roots that failed.
 */

/** What differs from the second build. */
export interface ReleaseVariant {
  /** Which root: that of the second build, or the one whose PID 1 and agent fail as the command line says. */
  readonly root: 'second' | 'faulty';
  /**
   * Seconds added to the time in the SquashFS superblock: another root hash over the same files. 0: the root as built.
   * Different in each variant.
   */
  readonly age: number;
  /** `KEEL_FAULT` of tests/src/faulty. */
  readonly fault?: 'init-throws' | 'init-hangs' | 'agent-dies' | 'agent-unhealthy';
  /** Changes the kernel's command line. */
  readonly commandLine?: (line: string) => string;
  /** The kernel is another one. */
  readonly isKernelOther?: true;
  /** What takes the place of the kernel image: noise, its first half, or one for another processor. */
  readonly kernelImage?: 'random' | 'cut-short' | 'foreign';
  readonly arch?: 'aarch64';
  /** What is wrong with it, for the table of a long run. */
  readonly why: string;
}

/** Name to variant. */
export const RELEASE_VARIANTS = {
  good: { root: 'second', age: 0, why: 'nothing: the second build as it is' },
  'good-again': { root: 'second', age: 1, why: 'nothing' },
  'good-third': { root: 'second', age: 2, why: 'nothing' },
  'new-kernel': { root: 'second', age: 6, isKernelOther: true, why: 'nothing: a new kernel' },
  'rots-later': { root: 'second', age: 3, why: 'nothing yet: its slot is damaged on the disk' },
  'rots-committed': { root: 'second', age: 4, why: 'nothing yet: its slot rots once committed' },
  'probe-red': { root: 'second', age: 5, why: 'a user probe stays red in its trial' },
  'kernel-panic': {
    root: 'second',
    age: 10,
    commandLine: (line) => line.replace('init=/sbin/init', 'init=/sbin/nothing'),
    why: 'the kernel finds no init and panics',
  },
  'slot-missing': {
    root: 'second',
    age: 9,
    commandLine: (line) =>
      line
        .replace(/dm-mod\.waitfor=PARTUUID=[0-9a-f]{8}/, 'dm-mod.waitfor=PARTUUID=00000000')
        // What a test need not wait for.
        .replace('softdog.soft_margin=120', 'softdog.soft_margin=20'),
    why: 'the kernel waits for a partition that is not there',
  },
  'init-throws': { root: 'faulty', age: 11, fault: 'init-throws', why: 'PID 1 throws' },
  'init-hangs': { root: 'faulty', age: 12, fault: 'init-hangs', why: 'PID 1 hangs' },
  'agent-dies': { root: 'faulty', age: 13, fault: 'agent-dies', why: 'the agent never gets up' },
  'agent-unhealthy': {
    root: 'faulty',
    age: 14,
    fault: 'agent-unhealthy',
    why: 'the agent answers, and a check never passes',
  },
  'kernel-image-random': {
    root: 'second',
    age: 15,
    kernelImage: 'random',
    why: 'the kernel image is noise',
  },
  'kernel-image-cut': {
    root: 'second',
    age: 16,
    kernelImage: 'cut-short',
    why: 'the kernel image ends in its middle',
  },
  'kernel-image-foreign': {
    root: 'second',
    age: 18,
    kernelImage: 'foreign',
    why: 'the firmware cannot load the kernel image: it says that it is for another processor',
  },
  'other-arch': { root: 'second', age: 17, arch: 'aarch64', why: 'made for another architecture' },
} as const satisfies Readonly<Record<string, ReleaseVariant>>;

/** A name of {@link RELEASE_VARIANTS}. */
export type ReleaseName = keyof typeof RELEASE_VARIANTS;
