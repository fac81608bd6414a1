/** The state of the present update, or of the last one, for everybody who looks. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { SpeedSample, UpdateStatus } from '../core/update-status.ts';
import { isFinal, NO_UPDATE, speedOf, withSample } from '../core/update-status.ts';
import type { AgentPorts } from '../ports.ts';

/** Watchers at the same time; each is a stream of an operator. */
export const WATCHERS_MAX = 64;

/** Keeps one status. A watcher that is slow misses what lies between, never the last one. */
export class UpdateProgress {
  readonly #clock: AgentPorts['clock'];
  #status: UpdateStatus = NO_UPDATE;
  #samples: readonly SpeedSample[] = [];
  #changed = Promise.withResolvers<void>();
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
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Changes a part of it. */
  change(part: Partial<UpdateStatus>): void {
    this.set({ ...this.#status, ...part });
  }

  /** Bytes of the phase that are done. */
  count(doneBytes: number, totalBytes: number): void {
    const now = { atMs: this.#clock.monotonicMs(), doneBytes, totalBytes };
    this.#samples = withSample(this.#samples, now);
    this.change({ doneBytes, totalBytes, ...speedOf(this.#samples, now) });
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
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const { id } = this.#status;
      for (;;) {
        signal.throwIfAborted();
        const changed = this.#changed.promise;
        const status = this.#status;
        yield status;
        if (isFinal(status) || status.id !== id) return;
        // What changed while the watcher was busy is told at once.
        if (this.#status === status) await Promise.race([changed, aborted.promise]);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#watchers -= 1;
    }
  }
}
