/** The state of the present update, or of the last one, for everybody who looks. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { SpeedSample, UpdateStatus } from '../core/update-status.ts';
import { isFinal, NO_UPDATE, speedOf, withSample } from '../core/update-status.ts';
import type { AgentPorts } from '../ports.ts';

/** Watchers at the same time; each is a stream of an operator. */
export const WATCHERS_MAX = 64;
/** Watchers hear of numbers that grow no more often than this: every time costs a message to each of them. */
const GROWTH_MS = 250;

/** Keeps one status. A watcher that is slow misses what lies between, never the last one. */
export class UpdateProgress {
  readonly #clock: AgentPorts['clock'];
  #status: UpdateStatus = NO_UPDATE;
  #samples: readonly SpeedSample[] = [];
  #changed = Promise.withResolvers<void>();
  #toldMs = 0;
  #watchers = 0;

  constructor(clock: AgentPorts['clock']) {
    this.#clock = clock;
  }

  get status(): UpdateStatus {
    return this.#status;
  }

  /** Replaces the status. */
  set(status: UpdateStatus): void {
    if (status.phase !== this.#status.phase) this.#samples = [];
    this.#status = status;
    this.#tell();
  }

  /** Changes a part of it. */
  change(part: Partial<UpdateStatus>): void {
    this.set({ ...this.#status, ...part });
  }

  /** Changes numbers that grow with every piece that is read or written. */
  grow(part: Partial<UpdateStatus>): void {
    this.#status = { ...this.#status, ...part };
    if (this.#clock.monotonicMs() - this.#toldMs >= GROWTH_MS) this.#tell();
  }

  /** Bytes of the phase that are done. */
  count(doneBytes: number, totalBytes: number): void {
    const now = { atMs: this.#clock.monotonicMs(), doneBytes, totalBytes };
    this.#samples = withSample(this.#samples, now);
    this.grow({ doneBytes, totalBytes, ...speedOf(this.#samples, now) });
  }

  #tell(): void {
    this.#toldMs = this.#clock.monotonicMs();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /**
   * The status now and at every change, until it is final, or becomes that of another update.
   *
   * @throws KeelError E_LIMIT_EXCEEDED
   */
  async *watch(signal: AbortSignal): AsyncGenerator<UpdateStatus> {
    if (this.#watchers >= WATCHERS_MAX) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot follow the update: ${WATCHERS_MAX} callers follow it, the limit`,
      );
    }
    this.#watchers += 1;
    try {
      const { id } = this.#status;
      for (;;) {
        signal.throwIfAborted();
        const changed = this.#changed.promise;
        const status = this.#status;
        yield status;
        if (isFinal(status) || status.id !== id) return;
        // What was told while the watcher was busy is told at once.
        await toldOrAborted(changed, signal);
      }
    } finally {
      this.#watchers -= 1;
    }
  }
}

/** Leaves nothing behind on `signal`: an update may take hours, and be told of ten thousand times. @throws its reason */
function toldOrAborted(told: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    told.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
