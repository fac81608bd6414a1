/** One update or rollback, from its start to its end: goes through the table of core/update-transitions.ts and performs its effects. */
import type { Hash } from 'node:crypto';
import type { BundleTail } from '@keelos/proto/bundle.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { SlotRelease, TrialPolicy, TrialRecord } from '@keelos/proto/update-record.ts';
import type { VerityTable } from '@keelos/proto/verity-table.ts';
import { enteredState } from '../core/update-status.ts';
import type { UpdateEffect, UpdateEvent, UpdateState } from '../core/update-transitions.ts';
import { isEnded, isInterruptible, updateTransition } from '../core/update-transitions.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import type { SlotPlace } from './update-ports.ts';
import type { UpdateProgress } from './update-progress.ts';

/** Rows that one event can lead through. */
const ROWS_MAX = 16;

/** Where the root's tree lies, and what it leads to. */
export type RootTable = Pick<VerityTable, 'dataBlocks' | 'hashStartBlock' | 'salt' | 'rootHash'>;

/** A bundle whose signature counts and that fits. */
export interface AcceptedBundle extends BundleTail {
  /** Everything behind the kernel image. */
  readonly rest: Uint8Array;
  /** Its source makes it from front to back: see `end` of SourceFacts. */
  readonly isInOrder: boolean;
}

/** What is wanted. */
export interface CourseWish {
  readonly id: string;
  readonly kind: 'update' | 'rollback';
  /** Subject of the operator's certificate, or "schedule <id>". */
  readonly who: string;
  readonly reason: string;
  readonly policy: TrialPolicy;
  readonly retryFailed: boolean;
  /** Arm, and leave the reboot to the operator. */
  readonly isRebootLeft: boolean;
  /** SHA-256 of the whole bundle; empty: the signature alone counts. */
  readonly sha256: string;
  /** Absent for a rollback. */
  readonly source?: UpdateSource;
}

/** What is known of the release once it has been accepted. */
export interface CourseTarget {
  readonly place: SlotPlace;
  readonly from: SlotRelease;
  readonly to: SlotRelease;
  readonly table: RootTable;
  /** Absent for a rollback. */
  readonly bundle?: AcceptedBundle;
}

/** One function for each effect. */
export type CourseEffects = Readonly<
  Record<UpdateEffect, (course: UpdateCourse, signal: AbortSignal) => Promise<void>>
>;

/** One update. */
export class UpdateCourse {
  readonly wish: CourseWish;
  readonly progress: UpdateProgress;
  readonly #effects: CourseEffects;
  readonly #log: (line: string) => void;
  #cancel = new AbortController();
  readonly #accepted = Promise.withResolvers<void>();
  #state: UpdateState = 'idle';
  #target: CourseTarget | undefined;
  #failure: KeelError | undefined;
  #isInDoubt = false;
  #cancelledBy: 'operator' | 'agent' | undefined;
  /** Over the bytes of the bundle that have gone by, from its first. */
  bundleHash: Hash | undefined;
  trial: TrialRecord | undefined;

  constructor(
    wish: CourseWish,
    parts: {
      readonly effects: CourseEffects;
      readonly progress: UpdateProgress;
      readonly log: (line: string) => void;
    },
  ) {
    this.wish = wish;
    this.progress = parts.progress;
    this.#effects = parts.effects;
    this.#log = parts.log;
  }

  /** One that another agent of this boot has brought to the armed state. */
  static armed(
    wish: CourseWish,
    parts: ConstructorParameters<typeof UpdateCourse>[1],
    trial: TrialRecord,
  ): UpdateCourse {
    const course = new UpdateCourse(wish, parts);
    course.#state = 'armed';
    course.trial = trial;
    return course;
  }

  get state(): UpdateState {
    return this.#state;
  }

  /** Fulfilled when the release has been accepted and is in the history, or the course has ended; never rejected. */
  get accepted(): Promise<void> {
    return this.#accepted.promise;
  }

  /** Why it failed. */
  get failure(): KeelError | undefined {
    return this.#failure;
  }

  /** True once the release has been found to be one. */
  get hasTarget(): boolean {
    return this.#target !== undefined;
  }

  /** @throws TypeError before the release has been accepted: a row of the table is in the wrong place */
  get target(): CourseTarget {
    if (this.#target === undefined) throw new TypeError(`no release in state ${this.#state}`);
    return this.#target;
  }

  set target(target: CourseTarget) {
    this.#target = target;
    const { slot, version, rootHash } = target.to;
    this.progress.change({ slot, version, rootHash });
  }

  /**
   * Wants it ended. What cannot be interrupted ends first.
   *
   * @param by an operator gives it up; an agent that goes down may be followed by one that goes on
   */
  cancel(by: 'operator' | 'agent'): void {
    this.#cancelledBy ??= by;
    this.#cancel.abort(new KeelError('E_CANCELLED', 'Cannot go on with the update: cancelled'));
  }

  /** Who cancelled first, also when that did not succeed. */
  get cancelledBy(): 'operator' | 'agent' | undefined {
    return this.#cancelledBy;
  }

  /** True once somebody has cancelled. */
  get isCancelled(): boolean {
    return this.#cancel.signal.aborted;
  }

  /**
   * Goes on from `event` until nothing follows by itself. State and failure say how it ended.
   *
   * @throws RangeError when it does not end: the table leads in a circle
   */
  async run(event: UpdateEvent): Promise<void> {
    let next: UpdateEvent | undefined = event;
    for (let rows = 0; next !== undefined; rows += 1) {
      if (rows === ROWS_MAX) throw new RangeError(`${ROWS_MAX} rows, and still ${this.#state}`);
      const row = updateTransition(this.#state, next);
      if (row === undefined) break;
      this.#enter(row.to);
      next = await this.#perform(row.effects);
      // This cancel has failed. Whoever still wants it asks again.
      if (this.#state === 'unarming' && next === 'fail') this.#cancel = new AbortController();
    }
    this.#accepted.resolve();
  }

  /** The arming has failed, and so may have the taking away of its entry. */
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  #enter(state: UpdateState): void {
    this.#state = state;
    this.#isInDoubt ||= state === 'undoing';
    const failure = ['failed', 'armed'].includes(state) ? this.#failure : undefined;
    this.progress.set({
      ...enteredState(this.progress.status, state),
      errorCode: failure?.code ?? '',
      errorMessage: failure?.message ?? '',
    });
  }

  async #perform(effects: readonly UpdateEffect[]): Promise<UpdateEvent> {
    // What undoes, and what arms, is not interrupted.
    const signal = isInterruptible(this.#state)
      ? this.#cancel.signal
      : new AbortController().signal;
    try {
      for (const effect of effects) {
        signal.throwIfAborted();
        await this.#do(effect, signal);
        // From then on the history knows of it; a dry run has none.
        const isKnown = effect === 'open-history' || this.#state === 'reading';
        if (isKnown) this.#accepted.resolve();
      }
      return isInterruptible(this.#state) && this.isCancelled ? 'cancel' : 'done';
    } catch (cause) {
      if (signal.aborted) return 'cancel';
      const failure = this.#told(cause);
      // Why it ended is what counts; of what can be asked for again, the last answer.
      const isUndone = isEnded(this.#state) || this.#state === 'undoing';
      if (this.#failure === undefined || !isUndone) this.#failure = failure;
      return 'fail';
    }
  }

  async #do(effect: UpdateEffect, signal: AbortSignal): Promise<void> {
    try {
      await this.#effects[effect](this, signal);
    } catch (cause) {
      // It has ended: the rest of the row can still be told.
      if (!isEnded(this.#state)) throw cause;
      this.#told(cause);
    }
  }

  #told(cause: unknown): KeelError {
    const failure = asKeelError(cause);
    this.#log(`${this.wish.kind} ${this.wish.id}: ${this.#state} failed: ${failure.message}`);
    if (failure.cause instanceof Error) this.#log(String(failure.cause.stack));
    return failure;
  }
}

/** Any error in the table's terms. */
export function asKeelError(cause: unknown): KeelError {
  if (cause instanceof KeelError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KeelError('E_INTERNAL', `Cannot finish the update: ${reason}`, { cause });
}
