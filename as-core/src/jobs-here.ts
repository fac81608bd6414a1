/** Runs jobs in the calling thread: for a process that does one thing and then ends. */
import { JOBS, type JobContext, type JobInput, type JobName, type JobResult } from './jobs.ts';
import type { JobRunner, RunOptions } from './workers.ts';

/** Runs each job when it is asked for, and blocks until it is through: a signal is looked at before and between reports. */
export class JobsHere implements JobRunner {
  readonly count = 1;
  readonly #kept = new Map<string, unknown>();

  async run<N extends JobName>(
    name: N,
    input: JobInput<N>,
    { signal, onProgress }: RunOptions = {},
  ): Promise<JobResult<N>> {
    signal?.throwIfAborted();
    const context: JobContext = {
      isStopped: () => signal?.aborted === true,
      report: (value) => onProgress?.(value),
      // Nothing goes anywhere: the result is the caller's as it is.
      handOver: () => undefined,
      kept: async (key, create) => {
        if (!this.#kept.has(key)) this.#kept.set(key, await create());
        return this.#kept.get(key) as Awaited<ReturnType<typeof create>>;
      },
    };
    // The types of a row fit each other; which row it is is known only here.
    const job = JOBS[name] as (input: unknown, context: JobContext) => unknown;
    const result = await job(input, context);
    signal?.throwIfAborted();
    return result as JobResult<N>;
  }

  /** Forgets what jobs have kept. */
  async close(): Promise<void> {
    this.#kept.clear();
  }
}
