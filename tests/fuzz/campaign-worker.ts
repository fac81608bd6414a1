/** Runs a campaign on a thread of its own, so that one execution that never ends can be seen and stopped. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Campaign, runCampaign } from './campaign.ts';
import { TARGETS } from './targets.ts';

/** What the thread is given. */
export interface WorkerInput {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  readonly only: number | undefined;
  /** One number: the execution at work. */
  readonly running: SharedArrayBuffer;
}

/** What it says: how far it is, then what it came to. */
export type WorkerMessage =
  | { readonly executions: number; readonly seconds: number }
  | { readonly campaign: Campaign };

const { target: name, seed, seconds, only, running } = workerData as WorkerInput;
const at = new Int32Array(running);
const say = (message: WorkerMessage) => parentPort?.postMessage(message);
const make = TARGETS[name];
if (make === undefined) throw new RangeError(`no target ${name}`);
const target = await make();
const campaign = await runCampaign({
  target,
  seed,
  seconds,
  only,
  onStart: (index) => void Atomics.store(at, 0, index),
  onProgress: (executions, elapsed) => say({ executions, seconds: elapsed }),
});
await target.close();
say({ campaign });
