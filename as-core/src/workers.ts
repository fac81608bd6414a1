/** A fixed number of worker threads that are kept: a fresh one is slow until its code was compiled in full. */
import type { Worker } from 'node:worker_threads';
import type { JobInput, JobName, JobResult } from './jobs.ts';
import { startCoreWorker } from './load.ts';
import { type JobAnswer, type JobRequest, receivedError } from './worker-messages.ts';

/** More workers than that serve nobody. */
export const WORKERS_MAX = 64;
/** Jobs that wait; a caller with more work than that hands it out piece by piece. */
export const WAITING_JOBS_MAX = 1024;
/** A job that does not see that it was stopped is ended with its thread. */
const STOP_TIMEOUT_MS = 5000;

/** How a job is run. */
export interface RunOptions {
  /**
   * Gives up: a waiting job is dropped, a running one told to end. `run` then rejects with the signal's reason, and not
   * before the thread has left the job: what the job used (a file, say) can be closed then.
   */
  readonly signal?: AbortSignal | undefined;
  /** Called for each `report` of the job. */
  readonly onProgress?: ((value: number) => void) | undefined;
  /** Buffers inside the input that are moved instead of copied. */
  readonly moved?: readonly ArrayBuffer[];
}

/** Whoever runs jobs: threads, or `JobsHere` in the calling one. */
export interface JobRunner {
  /** How many jobs run at a time. */
  readonly count: number;
  run<N extends JobName>(name: N, input: JobInput<N>, options?: RunOptions): Promise<JobResult<N>>;
  close(): Promise<void>;
}

interface Waiting {
  readonly request: JobRequest;
  readonly options: RunOptions;
  readonly resolve: (result: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Waiting | undefined;
}

/**
 * Runs jobs of jobs.ts. Threads start when they are first needed and stay until {@link close}; an idle one keeps no
 * process alive. A thread that dies fails its job, and the next job gets a new one.
 */
export class CoreWorkers implements JobRunner {
  /** How many jobs run at a time. */
  readonly count: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Waiting[] = [];
  #isClosed = false;

  /** @throws RangeError for a count that is not a whole number from 1 to {@link WORKERS_MAX} */
  constructor(count: number) {
    if (!Number.isInteger(count) || count < 1 || count > WORKERS_MAX) {
      throw new RangeError(`Cannot keep ${count} workers: expected 1 to ${WORKERS_MAX}`);
    }
    this.count = count;
  }

  /**
   * Runs one job, after those that were asked for earlier.
   *
   * Rejects with what the job threw: `CoreError` for bad data, `RangeError` for a caller's mistake, `Error` otherwise
   * (with `code` where the system gave one); with `RangeError` when {@link WAITING_JOBS_MAX} jobs wait already or after
   * {@link close}.
   */
  run<N extends JobName>(
    name: N,
    input: JobInput<N>,
    options: RunOptions = {},
  ): Promise<JobResult<N>> {
    return new Promise<unknown>((resolve, reject) => {
      options.signal?.throwIfAborted();
      if (this.#isClosed) throw new RangeError(`Cannot run ${name}: the workers are closed`);
      if (this.#waiting.length >= WAITING_JOBS_MAX) {
        throw new RangeError(`Cannot run ${name}: ${WAITING_JOBS_MAX} jobs wait already`);
      }
      const request = { name, input, stop: new SharedArrayBuffer(4) };
      const waiting = this.#stoppable({ request, options, resolve, reject });
      this.#waiting.push(waiting);
      this.#next();
    }) as Promise<JobResult<N>>;
  }

  /** Ends every thread. Jobs that run or wait are rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const reason = new Error('the workers were closed');
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
    await Promise.all(
      [...this.#threads].map((thread) => {
        thread.job?.reject(reason);
        return thread.worker.terminate();
      }),
    );
  }

  /** The same job, with its signal obeyed. */
  #stoppable(waiting: Waiting): Waiting {
    const { signal } = waiting.options;
    if (signal === undefined) return waiting;
    const stop = () => this.#stop(watched);
    const done = () => signal.removeEventListener('abort', stop);
    const watched: Waiting = {
      ...waiting,
      resolve: (result) => {
        done();
        waiting.resolve(result);
      },
      reject: (reason) => {
        done();
        waiting.reject(reason);
      },
    };
    signal.addEventListener('abort', stop, { once: true });
    return watched;
  }

  #stop(job: Waiting): void {
    const place = this.#waiting.indexOf(job);
    if (place >= 0) {
      this.#waiting.splice(place, 1);
      job.reject(job.options.signal?.reason);
      return;
    }
    Atomics.store(new Int32Array(job.request.stop), 0, 1);
    const thread = [...this.#threads].find((each) => each.job === job);
    if (thread === undefined) return;
    const late = AbortSignal.timeout(STOP_TIMEOUT_MS);
    late.addEventListener('abort', () => {
      if (thread.job === job) void thread.worker.terminate();
    });
  }

  #next(): void {
    const thread = this.#idleThread();
    if (thread === undefined) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    thread.job = job;
    thread.worker.ref();
    try {
      thread.worker.postMessage(job.request, job.options.moved ?? []);
    } catch (error) {
      // What cannot be cloned: the caller's mistake, and the thread knows nothing of it.
      this.#free(thread);
      job.reject(error);
    }
  }

  #idleThread(): Thread | undefined {
    const idle = [...this.#threads].find(({ job }) => job === undefined);
    if (idle !== undefined || this.#threads.size >= this.count) return idle;
    return this.#start();
  }

  #start(): Thread {
    const thread: Thread = { worker: startCoreWorker(), job: undefined };
    this.#threads.add(thread);
    let reason: unknown = new Error('the worker ended in the middle of its job');
    thread.worker.on('message', (answer: JobAnswer) => this.#take(thread, answer));
    thread.worker.on('error', (error) => {
      reason = error;
    });
    thread.worker.once('exit', () => {
      this.#threads.delete(thread);
      const { signal } = thread.job?.options ?? {};
      thread.job?.reject(signal?.aborted ? signal.reason : reason);
      if (!this.#isClosed) this.#next();
    });
    return thread;
  }

  #take(thread: Thread, answer: JobAnswer): void {
    const { job } = thread;
    if (job === undefined) return;
    if (answer.kind === 'progress') {
      job.options.onProgress?.(answer.value);
      return;
    }
    this.#free(thread);
    const { signal } = job.options;
    if (signal?.aborted) job.reject(signal.reason);
    else if (answer.kind === 'result') job.resolve(answer.result);
    else job.reject(receivedError(answer.error));
  }

  #free(thread: Thread): void {
    thread.job = undefined;
    thread.worker.unref();
    this.#next();
  }
}
