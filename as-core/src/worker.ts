/**
 * The script of a worker thread, started by `startCoreWorker()` of load.ts and fed by `CoreWorkers`: takes one
 * {@link JobRequest} at a time and posts its answer.
 */
import { isMainThread, parentPort } from 'node:worker_threads';
import { JOBS, type JobContext } from './jobs.ts';
import { CoreError } from './status.ts';
import { type JobAnswer, type JobRequest, sentError } from './worker-messages.ts';

const kept = new Map<string, unknown>();

function post(answer: JobAnswer, moved: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(answer, moved);
}

async function perform({ name, input, stop }: JobRequest): Promise<void> {
  const moved: ArrayBuffer[] = [];
  const stopFlag = new Int32Array(stop);
  const context: JobContext = {
    isStopped: () => Atomics.load(stopFlag, 0) !== 0,
    report: (value) => post({ kind: 'progress', value }),
    handOver: (buffer) => moved.push(buffer),
    kept: async (key, create) => {
      if (!kept.has(key)) kept.set(key, await create());
      return kept.get(key) as Awaited<ReturnType<typeof create>>;
    },
  };
  try {
    // The types of a row fit each other; which row it is is known only here.
    const job = JOBS[name] as (input: unknown, context: JobContext) => unknown;
    post({ kind: 'result', result: await job(input, context) }, moved);
  } catch (error) {
    if (!(error instanceof CoreError || error instanceof RangeError)) kept.clear();
    post({ kind: 'error', error: sentError(error) });
  }
}

if (!isMainThread) parentPort?.on('message', perform);
