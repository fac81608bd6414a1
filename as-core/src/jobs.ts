/**
 * The jobs that a worker can do, one row each: name to the function that does it. A worker does one job at a time, in its
 * own thread, and may block; what it keeps between jobs (instances of modules) it keeps through {@link JobContext.kept}.
 *
 * A new job: a function `(input, context) => result` in a module of its own, and a row here. Input and result must
 * survive a structured clone.
 */
import { encodeBlocks } from './encode-blocks-job.ts';
import { hashBlocks } from './hash-blocks-job.ts';
import { verifySquashfs } from './verify-squashfs-job.ts';

/** What a job may use besides its input. */
export interface JobContext {
  /** True once the caller has given up: the job ends soon, with whatever result, which nobody sees. */
  isStopped(): boolean;
  /** Tells the caller's `onProgress` a number, in the order of the calls. What it counts is the job's own matter. */
  report(value: number): void;
  /** The result will be moved instead of copied; for an `ArrayBuffer` that the result holds and the job needs no more. */
  handOver(buffer: ArrayBuffer): void;
  /**
   * What `create` made the first time in this worker. It is forgotten when a job fails otherwise than by a refusal of its
   * input, so that no half-broken instance serves the next one.
   */
  kept<T>(key: string, create: () => Promise<T>): Promise<T>;
}

/** Name to function. */
export const JOBS = {
  'encode-blocks': encodeBlocks,
  'hash-blocks': hashBlocks,
  'verify-squashfs': verifySquashfs,
} as const;

type Jobs = typeof JOBS;

/** Name of a job. */
export type JobName = keyof Jobs;

/** What job `N` takes. */
export type JobInput<N extends JobName> = Parameters<Jobs[N]>[0];

/** What job `N` answers. */
export type JobResult<N extends JobName> = Awaited<ReturnType<Jobs[N]>>;
