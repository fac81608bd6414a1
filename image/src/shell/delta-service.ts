/** Makes deltas that are asked for and not there: each pair once, however many ask, and one after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import type { MakeDelta } from '../core/delta-report.ts';
import type { ServedDelta } from '../core/served-delta.ts';
import { DeltaStore } from '../sys/delta-store.ts';
import type { ReleasePair } from './release-catalog.ts';

/** Pairs that may wait. */
const WAITING_MAX = 8;
/** A pair that failed is not tried again for so long: what fails once mostly fails again, after as much work. */
const FAILED_MS = 10 * 60_000;
const FAILED_MAX = 256;

/** What became of a question for a delta. */
export type DeltaAnswer =
  | { readonly kind: 'ready'; readonly delta: ServedDelta }
  /** It is being made, or too many others are. */
  | { readonly kind: 'later' }
  | { readonly kind: 'failed'; readonly reason: string };

/** How the service works. */
export interface DeltaServiceOptions {
  readonly store: DeltaStore;
  readonly makeDelta: MakeDelta;
  /** Files of private keys that sign what is made. */
  readonly keys: readonly string[];
  /** How long one who asks is kept waiting. */
  readonly waitMs: number;
  /** Of a clock that is never set. */
  readonly nowMs: () => number;
  /** Most memory that the generator may take. */
  readonly maxMemoryBytes?: number;
  readonly onMade?: (made: { readonly seconds: number; readonly isMade: boolean }) => void;
}

/** The service. */
export class DeltaService {
  readonly #options: DeltaServiceOptions;
  readonly #making = new Map<string, Promise<DeltaAnswer>>();
  readonly #failed = new Map<string, { readonly atMs: number; readonly reason: string }>();
  readonly #closing = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DeltaServiceOptions) {
    this.#options = options;
  }

  /** Pairs that wait, and the one that is being made. */
  get waiting(): number {
    return this.#making.size;
  }

  /** The delta between two releases, whose bundles lie at `oldPath` and `newPath`. Whoever gives up stops nothing. */
  async delta(
    { from, to }: ReleasePair,
    bundles: { readonly oldPath: string; readonly newPath: string; readonly signal: AbortSignal },
  ): Promise<DeltaAnswer> {
    const { store, waitMs, nowMs } = this.#options;
    const name = DeltaStore.nameOf(from.manifestSha256, to.manifestSha256);
    const found = this.#making.has(name) ? undefined : await store.find(name);
    if (found !== undefined) return { kind: 'ready', delta: found };
    const failure = this.#failed.get(name);
    if (failure !== undefined && nowMs() - failure.atMs < FAILED_MS) {
      return { kind: 'failed', reason: failure.reason };
    }
    let making = this.#making.get(name);
    if (making === undefined) {
      if (this.#making.size >= WAITING_MAX || this.#closing.signal.aborted)
        return { kind: 'later' };
      making = this.#queue(name, { ...bundles, fullBytes: to.bundle.size });
    }
    return this.#waitFor(making, { waitMs, signal: bundles.signal });
  }

  async #waitFor(
    making: Promise<DeltaAnswer>,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<DeltaAnswer> {
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const late = sleep(waitMs, undefined, { signal: stop }).catch(() => undefined);
    try {
      return await Promise.race([making, late.then((): DeltaAnswer => ({ kind: 'later' }))]);
    } finally {
      done.abort();
    }
  }

  #queue(
    name: string,
    of: { readonly oldPath: string; readonly newPath: string; readonly fullBytes: number },
  ): Promise<DeltaAnswer> {
    const made = this.#last
      .then(() => this.#make(name, of))
      .finally(() => this.#making.delete(name));
    this.#last = made.catch(() => undefined);
    this.#making.set(name, made);
    return made;
  }

  async #make(
    name: string,
    of: { readonly oldPath: string; readonly newPath: string; readonly fullBytes: number },
  ): Promise<DeltaAnswer> {
    const { store, makeDelta, keys, maxMemoryBytes, nowMs, onMade } = this.#options;
    const { signal } = this.#closing;
    const beganMs = nowMs();
    let isMade = false;
    try {
      signal.throwIfAborted();
      const { oldPath, newPath, fullBytes } = of;
      const made = await makeDelta({
        ...{ oldPath, newPath, out: store.pathOf(name), keys, signal },
        ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
      });
      if (made.deltaBytes >= fullBytes) {
        await store.discard(name);
        throw new KeelError('E_IMAGE_INVALID', 'it would be no smaller than the bundle');
      }
      isMade = true;
      return { kind: 'ready', delta: await store.take(name) };
    } catch (error) {
      if (signal.aborted) return { kind: 'later' };
      const reason = error instanceof Error ? error.message : String(error);
      this.#failed.set(name, { atMs: nowMs(), reason });
      const [oldest] = this.#failed.keys();
      if (this.#failed.size > FAILED_MAX && oldest !== undefined) this.#failed.delete(oldest);
      process.stderr.write(`keel-image: ${reason}\n`);
      return { kind: 'failed', reason };
    } finally {
      onMade?.({ seconds: (nowMs() - beganMs) / 1000, isMade });
    }
  }

  /** Ends what is being made. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }
}
