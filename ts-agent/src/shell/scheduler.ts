/**
 * Keeps scheduled updates on the state partition and begins each when its time has come.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { HistoryEntry, Schedule } from '@keelos/proto/update-record.ts';
import { SCHEDULES_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { SHARE_BYTES, shareOf } from '../core/drawn-share.ts';
import { isPassing } from '../core/passing-errors.ts';
import {
  afterClockStep,
  compareSchedules,
  hasEnded,
  judgeSchedule,
  movesWithClock,
  OPEN_SCHEDULES_MAX,
  retriesUntilMs,
  withinBounds,
} from '../core/schedule.ts';
import { outcomeOf, schedulesFrom, settledBy } from '../core/schedule-record.ts';
import type { ScheduleRequest } from '../core/schedule-request.ts';
import { scheduleFrom } from '../core/schedule-request.ts';
import type { AgentPorts } from '../ports.ts';
import { bootReport } from './node-facts.ts';
import { readRecord } from './update-records.ts';

/** What the scheduler touches. */
export type SchedulerPorts = Pick<AgentPorts, 'state' | 'clock' | 'log' | 'random' | 'files'>;

/** The part of the update engine that it asks. */
export interface ScheduledInstalls {
  /** Begins the install in the name of the schedule; settles once it has been accepted. @throws KeelError */
  start(schedule: Schedule): Promise<void>;
  /** The newest first. @throws KeelError E_STATE_UNAVAILABLE */
  history(): readonly HistoryEntry[];
}

/** How often the clock is looked at: a start is late by at most this. */
export const LOOK_EVERY_MS = 5_000;
/** Between two attempts of a start that fails for a passing reason. */
export const RETRY_MS = 120_000;
const ID_BYTES = 4;
const CUT_OFF = 'It was cut off at its start.';

/** The scheduler. */
export class Scheduler {
  readonly #ports: SchedulerPorts;
  readonly #installs: ScheduledInstalls;
  #schedules: readonly Schedule[];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  /** Wall clock minus monotonic clock: changes only when the clock is set. */
  #offsetMs: number;
  readonly #retryAtMs = new Map<string, number>();
  /** What came of starts that were refused, until it is on the disk. */
  readonly #unsaved = new Map<string, Partial<Schedule>>();
  #reported = '';

  constructor(ports: SchedulerPorts, installs: ScheduledInstalls) {
    this.#ports = ports;
    this.#installs = installs;
    this.#offsetMs = ports.clock.nowMs() - ports.clock.monotonicMs();
    const form = { path: UPDATE_PATHS.schedules, kind: SCHEDULES_RECORD, from: schedulesFrom };
    this.#schedules = readQuietly(ports, () => readRecord(ports, form)) ?? [];
  }

  /** Looks now, and from now on. What was running when the agent ended is judged first. */
  start(): void {
    this.#looking = this.#looking.then(() => this.#resume());
    const look = (): void => void this.look();
    look();
    this.#timer = setInterval(look, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Ends the timer. An install that has begun goes on. */
  close(): void {
    clearInterval(this.#timer);
  }

  /**
   * What runs, then the next one first, then what has ended. One whose install has come to its end is told as ended,
   * before the next look as well. @throws KeelError E_STATE_UNAVAILABLE
   */
  list(): readonly Schedule[] {
    this.#noticeClockStep();
    return this.#settled().toSorted(compareSchedules);
  }

  /** Adds a schedule. @throws KeelError E_INVALID_ARGUMENT, E_LIMIT_EXCEEDED, E_STATE_FULL, E_STATE_UNAVAILABLE */
  add(request: ScheduleRequest): Schedule {
    this.#noticeClockStep();
    if (this.#settled().filter((one) => !hasEnded(one)).length >= OPEN_SCHEDULES_MAX) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot schedule the update: ${OPEN_SCHEDULES_MAX} are waiting already`,
      );
    }
    const { random, clock } = this.#ports;
    const id = Buffer.from(random(ID_BYTES)).toString('hex');
    const share = shareOf(random(SHARE_BYTES));
    const schedule = scheduleFrom(request, { id, share, nowMs: clock.nowMs() });
    this.#save([...this.#schedules, schedule]);
    this.#ports.log(`update scheduled by "${schedule.who}": ${id}`);
    return schedule;
  }

  /** Gives up a schedule that waits. @throws KeelError E_NOT_FOUND, E_INVALID_ARGUMENT, E_STATE_FULL, E_STATE_UNAVAILABLE */
  cancel(id: string, who: string): Schedule {
    const found = this.#settled().find((one) => one.id === id);
    if (found === undefined) {
      throw new KeelError('E_NOT_FOUND', `Cannot cancel the schedule: there is none with id ${id}`);
    }
    if (found.state !== 'waiting') {
      throw new KeelError(
        'E_INVALID_ARGUMENT',
        `Cannot cancel the schedule: it is ${found.state}`,
        {
          hint:
            found.state === 'running'
              ? 'End the install with osctl update --cancel.'
              : 'It has ended: there is nothing to do.',
        },
      );
    }
    return this.#replace({ ...found, state: 'cancelled', result: `By "${who}".`, nextMs: 0 });
  }

  /** Does what is due. Never rejects; one look at a time. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#guarded(() => this.#look()));
    return this.#looking;
  }

  async #look(): Promise<void> {
    this.#noticeClockStep();
    this.#saveRefused();
    this.#saveSettled();
    const open = this.#schedules.filter((one) => !hasEnded(one)).toSorted(compareSchedules);
    if (open.length === 0) return;
    const { clock } = await bootReport(this.#ports.files);
    if (!clock.trusted) {
      this.#report('scheduled updates wait: the clock of the node is not believed');
      return;
    }
    const waiting = open.filter(({ state }) => state === 'waiting');
    for (const { id } of waiting) await this.#advance(id);
    this.#report('');
  }

  async #advance(id: string): Promise<void> {
    // Anew from the list: a caller may have cancelled it while another one was started.
    const schedule = this.#schedules.find((one) => one.id === id);
    if (schedule?.state !== 'waiting') return;
    const decision = judgeSchedule(schedule, this.#ports.clock.nowMs());
    if (decision.kind === 'missed' || decision.kind === 'moved') {
      this.#replace(decision.next);
      this.#ports.log(`scheduled update ${id}: ${decision.next.result || 'moved with the clock'}`);
    }
    if (decision.kind !== 'start') return;
    if (this.#ports.clock.monotonicMs() < (this.#retryAtMs.get(id) ?? 0)) return;
    await this.#begin(schedule);
  }

  async #begin(schedule: Schedule): Promise<void> {
    const { id } = schedule;
    // On the disk first: a start that the disk does not know of might come again and again.
    const result = schedule.result === CUT_OFF ? CUT_OFF : '';
    this.#replace({ ...schedule, state: 'running', result });
    this.#ports.log(`scheduled update ${id} begins`);
    try {
      await this.#installs.start(schedule);
      this.#retryAtMs.delete(id);
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#refused(schedule, cause);
    }
  }

  #refused(schedule: Schedule, cause: KeelError): void {
    const { clock, log } = this.#ports;
    const isTimeLeft = clock.nowMs() + RETRY_MS <= retriesUntilMs(schedule);
    log(`scheduled update ${schedule.id} not begun: ${cause.code} ${cause.message}`);
    if (isPassing(cause.code) && isTimeLeft) {
      this.#retryAtMs.set(schedule.id, clock.monotonicMs() + RETRY_MS);
      const result = `It is tried again: ${cause.message}.`;
      this.#unsaved.set(schedule.id, { state: 'waiting', result });
    } else {
      const result = `${cause.message} (${cause.code}).`;
      this.#unsaved.set(schedule.id, { state: 'failed', result, nextMs: 0 });
    }
    this.#saveRefused();
  }

  /** The disk may be full, and often that is why a start was refused: the next look tries again. */
  #saveRefused(): void {
    for (const [id, refused] of this.#unsaved) {
      const present = this.#schedules.find((one) => one.id === id);
      if (present !== undefined) this.#replace({ ...present, ...refused });
      this.#unsaved.delete(id);
    }
  }

  #saveSettled(): void {
    const settled = this.#settled();
    if (settled.some((one, index) => one !== this.#schedules[index])) this.#save(settled);
  }

  /** The schedules, those that run with what the history says has come of them. */
  #settled(): readonly Schedule[] {
    if (!this.#schedules.some(({ state }) => state === 'running')) return this.#schedules;
    const entries = this.#installs.history();
    return this.#schedules.map((one) => settledBy(entries, one));
  }

  /**
   * What ran when the agent ended: without an entry in the history its install had not begun, so it waits again. Once:
   * the install may be what ends the agent.
   */
  async #resume(): Promise<void> {
    await this.#guarded(async () => {
      const entries = this.#installs.history();
      for (const schedule of this.#schedules.filter(({ state }) => state === 'running')) {
        if (outcomeOf(entries, schedule.id).kind !== 'unknown') continue;
        this.#ports.log(`scheduled update ${schedule.id} was cut off at its start`);
        const isFirst = schedule.result !== CUT_OFF;
        const next = isFirst
          ? ({ state: 'waiting', result: CUT_OFF } as const)
          : ({ state: 'failed', result: `${CUT_OFF} Twice.`, nextMs: 0 } as const);
        this.#replace({ ...schedule, ...next });
      }
    });
  }

  /** A duration goes by on the monotonic clock: when the time is set, what was asked for as one moves with it. */
  #noticeClockStep(): void {
    const { clock } = this.#ports;
    const offsetMs = clock.nowMs() - clock.monotonicMs();
    const stepMs = offsetMs - this.#offsetMs;
    const moved = this.#schedules.map((one) => afterClockStep(one, stepMs));
    if (moved.every((one, index) => one === this.#schedules[index])) {
      // Small steps add up: the offset is kept until it is worth moving something, if there is something to move.
      if (!this.#schedules.some(movesWithClock)) this.#offsetMs = offsetMs;
      return;
    }
    this.#offsetMs = offsetMs;
    this.#save(moved);
  }

  #replace(schedule: Schedule): Schedule {
    this.#save(this.#schedules.map((one) => (one.id === schedule.id ? schedule : one)));
    return schedule;
  }

  #save(schedules: readonly Schedule[]): void {
    const bounded = withinBounds(schedules);
    const record = encodeRecord(SCHEDULES_RECORD, { schedules: bounded });
    this.#ports.state.replace(UPDATE_PATHS.schedules, record);
    this.#schedules = bounded;
  }

  /** The world may fail; the next look tries again. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#report(`scheduled updates wait: ${cause.message}`);
    }
  }

  #report(line: string): void {
    if (line !== this.#reported && line !== '') this.#ports.log(line);
    this.#reported = line;
  }
}

function readQuietly<T>({ log }: SchedulerPorts, read: () => T): T | undefined {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`schedules not read: ${cause.message}`);
    return undefined;
  }
}
