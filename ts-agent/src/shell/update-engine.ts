/** Updates of the node: one at a time, watched by anybody, ended by whoever may. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { TrialPolicy, TrialRecord } from '@keelos/proto/update-record.ts';
import type { UpdateStatus } from '../core/update-status.ts';
import { endedStatus, NO_UPDATE } from '../core/update-status.ts';
import { isEnded } from '../core/update-transitions.ts';
import type { AgentPorts } from '../ports.ts';
import { replyError } from '../sys/init-client.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import { demandSettled } from './bundle-check.ts';
import { Installer } from './installer.ts';
import type { CourseWish, UpdateCourse } from './update-course.ts';
import { UpdateHistory } from './update-history.ts';
import type { CommitterPorts, InstallerPorts } from './update-ports.ts';
import { UpdateProgress } from './update-progress.ts';
import { trialRecord } from './update-records.ts';

/** Time for one hook. One that takes longer is left behind, and logged. */
export const HOOK_MS_MAX = 300_000;
/** Times that PID 1 is asked for a reboot, and what is waited for in between: two minutes in all when it is silent. */
const REBOOT_ASKS_MAX = 12;
const REBOOT_ASK_AGAIN_MS = 5_000;
/** Hooks of one kind. */
const HOOKS_MAX = 8;

/** What is wanted of an install. */
export interface UpdateOptions {
  /** SHA-256 of the whole bundle; empty: the signature alone counts. */
  readonly sha256: string;
  readonly isDryRun: boolean;
  /** Arm, and leave the reboot to the operator. */
  readonly isRebootLeft: boolean;
  readonly retryFailed: boolean;
  readonly policy: TrialPolicy;
}

/** What is wanted of a rollback. */
export interface RollbackOptions extends Omit<UpdateOptions, 'sha256' | 'isDryRun'> {
  readonly reason: string;
}

/** Something that is done for an update by another part of the agent, for example draining the node. */
export interface UpdateHook {
  readonly name: string;
  readonly run: (update: { readonly id: string }, signal: AbortSignal) => Promise<void>;
}

/** Everything that the engine touches. */
export interface EnginePorts
  extends InstallerPorts,
    Pick<AgentPorts, 'init'>,
    Pick<CommitterPorts, 'wait'> {}

interface Running {
  readonly course: UpdateCourse;
  /** Fulfilled when nothing more of the source is needed and the release is armed, or it ended; never rejected. */
  readonly installed: Promise<void>;
  readonly ended: Promise<void>;
}

/** The engine. One for an agent. */
export class UpdateEngine {
  readonly progress: UpdateProgress;
  readonly history: UpdateHistory;
  /** Run one after the other before the reboot into a trial. A hook that fails is logged and holds nothing up. */
  readonly beforeReboot: UpdateHook[] = [];
  /** Run one after the other once a trial is committed. */
  readonly afterCommit: UpdateHook[] = [];
  readonly #ports: EnginePorts;
  readonly #ready: () => Promise<void>;
  readonly #installer: Installer;
  readonly #ending = new AbortController();
  #running: Running | undefined;

  /** @param ready nothing begins before it is fulfilled: the committer may still have to clear up after a trial */
  constructor(ports: EnginePorts, ready: () => Promise<void> = async () => undefined) {
    this.#ports = ports;
    this.#ready = ready;
    this.progress = new UpdateProgress(ports.clock);
    this.history = new UpdateHistory(ports);
    this.#installer = new Installer(ports, this.progress, {
      runHooks: ({ wish: { id } }) => this.#runHooks(this.beforeReboot, id),
      askReboot: (course) => this.#askReboot(course),
    });
  }

  /** How the present update is going, or how the last one ended. */
  status(): UpdateStatus {
    return this.progress.status;
  }

  /**
   * Begins to install. Returns once signature, sizes and room have been checked; the rest goes on by itself.
   *
   * @param who subject of the operator's certificate, or "schedule <id>"
   * @throws KeelError why the bundle is not taken, and E_UPDATE_RUNNING
   */
  async start(source: UpdateSource, options: UpdateOptions, who: string): Promise<UpdateStatus> {
    await this.#free();
    const running = this.#begin(source, options, who);
    await running.course.accepted;
    return this.#result(running.course);
  }

  /**
   * The same, and returns once nothing more is asked of the source: armed, checked, or ended.
   *
   * @throws KeelError why it ended before
   */
  async install(source: UpdateSource, options: UpdateOptions, who: string): Promise<UpdateStatus> {
    await this.#free();
    const running = this.#begin(source, options, who);
    await running.installed;
    return this.#result(running.course);
  }

  /**
   * Goes back to the release in the other slot: verifies it, arms it as a trial, and asks for the reboot. Returns when it
   * is armed.
   *
   * @throws KeelError E_SLOT_EMPTY, E_SLOT_DAMAGED, E_UPDATE_RUNNING, E_UPDATE_UNSETTLED, and others that the effects throw
   */
  async rollback(options: RollbackOptions, who: string): Promise<UpdateStatus> {
    const { policy, retryFailed, isRebootLeft, reason } = options;
    await this.#free();
    const running = this.#launch(
      { kind: 'rollback', who, reason, policy, retryFailed, isRebootLeft, sha256: '' },
      'go-back',
    );
    await running.installed;
    return this.#result(running.course);
  }

  /**
   * The status and every change of it, until it is final. Of an earlier update: how it ended.
   *
   * @param id of the update; empty: the present one, or the last
   * @throws KeelError E_NOT_FOUND when nobody knows of it
   */
  async *watch(id: string, signal: AbortSignal): AsyncGenerator<UpdateStatus> {
    await this.#ready();
    const isPresent = id === '' || id === this.status().id;
    const earlier = isPresent ? undefined : this.history.find(id);
    if (earlier !== undefined) return yield endedStatus(earlier);
    this.#demand(id);
    yield* this.progress.watch(signal);
  }

  /**
   * Ends the present update, also one that is armed and has not been tried. Returns when it has ended.
   *
   * @param id of the update; empty: the present one
   * @throws KeelError E_NOT_FOUND when there is none, or none that can still be cancelled; E_UPDATE_UNSETTLED when the
   * machine restarts into it; why its entry could not be taken away, when it is still armed
   */
  async cancel(id: string): Promise<UpdateStatus> {
    await this.#ready();
    this.#demand(id);
    const present = this.#running?.course;
    const isOver = present === undefined || isEnded(present.state);
    const course = isOver ? await this.#armedBefore() : present;
    if (course === undefined) {
      throw new KeelError('E_NOT_FOUND', 'Cannot cancel: no update is running or armed');
    }
    course.cancel('operator');
    await this.#running?.ended;
    if (course.state === 'armed') await course.run('cancel');
    if (course.state !== 'cancelled') throw notCancelled(course);
    return this.status();
  }

  /** Asks for the reboot into what an earlier agent of this boot has armed, when that agent was to ask for it. */
  async resume(trial: TrialRecord): Promise<void> {
    if (trial.isRebootLeft || this.#running !== undefined) return;
    const course = this.#installer.armedCourse(trial);
    this.#ports.log(`${trial.kind} ${trial.id} is armed and not tried: going on`);
    const ended = course.run('reboot');
    this.#running = { course, ended, installed: Promise.resolve() };
    await ended;
  }

  /** Runs the hooks for a trial that was committed. */
  committed(id: string): Promise<void> {
    return this.#runHooks(this.afterCommit, id);
  }

  /** Ends what runs and waits until the disk is left alone. What is armed stays armed. */
  async close(): Promise<void> {
    const running = this.#running;
    if (running === undefined || running.course.state === 'armed') return;
    // Neither does a reboot that has been asked for become a cancel when it is refused.
    if (running.course.state !== 'rebooting') running.course.cancel('agent');
    this.#ending.abort(new KeelError('E_CANCELLED', 'Cannot ask for the reboot: the agent ends'));
    await running.ended;
  }

  /** Nothing of an update that has ended is left: what its source removes could be what the next one has fetched. */
  async #free(): Promise<void> {
    await this.#ready();
    const running = this.#running;
    if (running !== undefined && isEnded(running.course.state)) await running.ended;
  }

  #begin(source: UpdateSource, options: UpdateOptions, who: string): Running {
    const { policy, retryFailed, sha256, isDryRun, isRebootLeft } = options;
    return this.#launch(
      { kind: 'update', who, reason: '', policy, retryFailed, isRebootLeft, sha256, source },
      isDryRun ? 'start-dry' : 'start',
    );
  }

  #launch(wish: Omit<CourseWish, 'id'>, event: 'start' | 'start-dry' | 'go-back'): Running {
    const present = this.#running?.course;
    // What is told of a trial stays as it is.
    demandSettled(this.#ports);
    if (present !== undefined && !isEnded(present.state)) {
      throw new KeelError('E_UPDATE_RUNNING', `Cannot begin: update ${present.wish.id} is running`);
    }
    const course = this.#installer.course(wish);
    this.progress.set({ ...NO_UPDATE, id: course.wish.id, startedMs: this.#ports.clock.nowMs() });
    const installed = Promise.withResolvers<void>();
    const ended = this.#go(course, event, installed.resolve);
    this.#running = { course, ended, installed: installed.promise };
    return this.#running;
  }

  async #go(
    course: UpdateCourse,
    event: 'start' | 'start-dry' | 'go-back',
    onInstalled: () => void,
  ): Promise<void> {
    try {
      await course.run(event);
    } finally {
      await course.wish.source?.close().catch((cause: unknown) => {
        this.#ports.log(`source of update ${course.wish.id} not closed: ${String(cause)}`);
      });
      onInstalled();
    }
    // One that failed, or that somebody wanted cancelled, is not tried because its entry could not be taken away.
    const isWanted = course.cancelledBy === undefined && !course.isInDoubt;
    if (course.state === 'armed' && !course.wish.isRebootLeft && isWanted) {
      await course.run('reboot');
    }
  }

  /** @throws KeelError why it failed */
  #result(course: UpdateCourse): UpdateStatus {
    if (course.state === 'cancelled') {
      throw new KeelError('E_CANCELLED', `Cannot finish update ${course.wish.id}: cancelled`);
    }
    const isArmed = ['armed', 'rebooting'].includes(course.state) && !course.isInDoubt;
    if (course.failure !== undefined && !isArmed) throw course.failure;
    return this.status();
  }

  #demand(id: string): void {
    const present = this.status().id;
    if (id === '' || id === present) return;
    const known = present === '' ? 'there was none' : `the last one is ${present}`;
    throw new KeelError('E_NOT_FOUND', `Cannot find update ${JSON.stringify(id)}: ${known}`);
  }

  /** What an earlier agent of this boot has armed. */
  async #armedBefore(): Promise<UpdateCourse | undefined> {
    const trial = trialRecord(this.#ports);
    if (trial === undefined || trial.armedBootId !== (await this.#ports.facts.bootId())) {
      return undefined;
    }
    return this.#installer.armedCourse(trial);
  }

  async #runHooks(hooks: readonly UpdateHook[], id: string): Promise<void> {
    for (const hook of hooks.slice(0, HOOKS_MAX)) {
      const late = AbortSignal.timeout(HOOK_MS_MAX);
      const ended = Promise.withResolvers<never>();
      late.addEventListener('abort', () => ended.reject(late.reason), { once: true });
      ended.promise.catch(() => undefined);
      try {
        await Promise.race([hook.run({ id }, late), ended.promise]);
      } catch (cause) {
        this.#ports.log(`${hook.name} failed for update ${id}: ${String(cause)}`);
      }
    }
  }

  /** @throws KeelError E_INIT_UNREACHABLE when PID 1 has not taken it in all those times */
  async #askReboot({ wish: { id, kind, who }, trial }: UpdateCourse): Promise<void> {
    const reason = `${kind} ${id} to ${trial?.to.version ?? 'another release'} by ${who}`;
    for (let asks = 1; ; asks += 1) {
      try {
        const reply = await this.#ports.init.request({ op: 'reboot', reason });
        if (reply.type === 'error') throw replyError(reply);
        return;
      } catch (cause) {
        if (!(cause instanceof KeelError) || asks === REBOOT_ASKS_MAX) throw cause;
        this.#ports.log(`reboot for ${kind} ${id} not taken: ${cause.message}`);
      }
      await this.#ports.wait(REBOOT_ASK_AGAIN_MS, this.#ending.signal);
    }
  }
}

/** Why a cancel has not ended an update. */
function notCancelled({ state, failure, wish: { id } }: UpdateCourse): KeelError {
  if (state === 'rebooting') {
    const reason = 'the machine restarts to try it. Once it runs, it can be rolled back';
    return new KeelError('E_UPDATE_UNSETTLED', `Cannot cancel update ${id}: ${reason}`);
  }
  if (failure !== undefined && state !== 'unarming') return failure;
  const reason = isEnded(state) ? `it has ended as ${state}` : `it is ${state}`;
  return new KeelError('E_UPDATE_RUNNING', `Cannot cancel update ${id}: ${reason}`);
}
