/** Follows a channel: looks for a newer release from time to time, and begins to install it. */
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { FollowedChannel, HistoryEntry } from '@keelos/proto/update-record.ts';
import { CHANNEL_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { hindrance } from '../core/channel-release.ts';
import { SHARE_BYTES, shareOf } from '../core/drawn-share.ts';
import { checkedChannel, waitMs } from '../core/followed-channel.ts';
import { followedFrom } from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';
import { attempt } from './attempt.ts';
import type { NewestRelease } from './channel-reader.ts';
import { bootReport, rootHash } from './node-facts.ts';
import { failedRoots, readRecord } from './update-records.ts';

/** What the follower touches. */
export type FollowerPorts = Pick<AgentPorts, 'state' | 'clock' | 'log' | 'random' | 'files'>;

/** The parts of the agent that it asks. */
export interface FollowedReleases {
  /** @throws KeelError */
  newest(followed: FollowedChannel, signal: AbortSignal): Promise<NewestRelease>;
  /** Begins the install; settles once it has been accepted. @throws KeelError */
  start(newest: NewestRelease, followed: FollowedChannel): Promise<void>;
  /** Of updates, the newest first. @throws KeelError E_STATE_UNAVAILABLE */
  history(): readonly HistoryEntry[];
}

/** What came of the last look. */
export interface FollowerState {
  /** Undefined: no channel is followed. */
  readonly followed: FollowedChannel | undefined;
  /** Unix milliseconds; undefined before the first look. */
  readonly lookedMs: number | undefined;
  readonly nextMs: number | undefined;
  readonly result: string;
  readonly errorCode: ErrorCode | '';
  /** Empty until a look has seen one. */
  readonly newestVersion: string;
  readonly isUpToDate: boolean;
}

/** How often the clock is looked at: a look is late by at most this. */
export const LOOK_EVERY_MS = 5_000;
/** The first look after a start of the agent comes after about this time. */
const FIRST_SECONDS_MAX = 600;
/** Time for one look: a server that answers slowly is asked again at the next one. */
const LOOK_MS_MAX = 120_000;
const NOTHING: Omit<FollowerState, 'followed'> = {
  lookedMs: undefined,
  nextMs: undefined,
  result: '',
  errorCode: '',
  newestVersion: '',
  isUpToDate: false,
};
const FORM = { path: UPDATE_PATHS.channel, kind: CHANNEL_RECORD, from: followedFrom };

/** The follower. */
export class ChannelFollower {
  readonly #ports: FollowerPorts;
  readonly #releases: FollowedReleases;
  #state: FollowerState;
  #nextAtMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stop = new AbortController();
  #looking: Promise<void> | undefined;

  constructor(ports: FollowerPorts, releases: FollowedReleases) {
    this.#ports = ports;
    this.#releases = releases;
    const followed = attempt(ports.log, 'followed channel not read', () => readRecord(ports, FORM));
    this.#state = { followed, ...NOTHING };
  }

  /** How it stands. */
  get state(): FollowerState {
    return this.#state;
  }

  /**
   * Looks from now on. First after some minutes, so that a fleet that restarts does not ask at once, and a node that is
   * never up for long looks all the same.
   */
  start(): void {
    this.#plan(FIRST_SECONDS_MAX);
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Ends it. An install that has begun goes on. */
  close(): void {
    clearInterval(this.#timer);
    this.#stop.abort(new KeelError('E_CANCELLED', 'Cannot look at the channel: the agent ends'));
  }

  /**
   * Follows another channel from now on, or none. The first look comes soon: somebody wants to see it. What happened to
   * releases before is not held against them any more.
   *
   * @throws KeelError E_INVALID_ARGUMENT, E_STATE_FULL, E_STATE_UNAVAILABLE
   */
  set(wish: Omit<FollowedChannel, 'setAfter'> | undefined): FollowerState {
    const { state, clock } = this.#ports;
    const ended = () => this.#releases.history().find(({ outcome }) => outcome !== 'open');
    const followed = wish === undefined ? undefined : { ...wish, setAfter: ended()?.id ?? '' };
    if (followed === undefined) state.remove(UPDATE_PATHS.channel);
    else {
      const record = encodeRecord(CHANNEL_RECORD, checkedChannel(followed));
      state.replace(UPDATE_PATHS.channel, record);
    }
    this.#stop.abort(new KeelError('E_CANCELLED', 'Cannot look at the channel: another is set'));
    this.#stop = new AbortController();
    const nextMs = followed === undefined ? undefined : clock.nowMs();
    this.#state = { followed, ...NOTHING, nextMs };
    this.#nextAtMs = followed === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs();
    return this.#state;
  }

  /** Looks when it is time. Never rejects; one look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { files, clock, log } = this.#ports;
    const { followed } = this.#state;
    if (followed === undefined || clock.monotonicMs() < this.#nextAtMs) return;
    if (!(await bootReport(files)).clock.trusted) {
      this.#told({ result: 'It waits: the clock of the node is not believed.' });
      return;
    }
    this.#plan();
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(LOOK_MS_MAX)]);
    // When another channel was set meanwhile, what came of this one is nobody's business.
    const isStill = () => this.#state.followed === followed;
    try {
      const found = await this.#install(followed, signal);
      if (isStill()) this.#told({ errorCode: '', ...found });
    } catch (cause) {
      if (!isStill()) return;
      const { code, message } = asError(cause, followed);
      log(`channel ${followed.channel}: ${code} ${message}`);
      this.#told({ errorCode: code, result: `${message}.` });
    }
  }

  /** Looks, and begins the install of what is newer. */
  async #install(followed: FollowedChannel, signal: AbortSignal): Promise<Partial<FollowerState>> {
    const newest = await this.#releases.newest(followed, signal);
    signal.throwIfAborted();
    const { version, rootHash: wanted } = newest.release;
    const runningHash = await rootHash(this.#ports.files);
    const isUpToDate = wanted === runningHash;
    const seen = { newestVersion: version, isUpToDate };
    if (isUpToDate) return { ...seen, result: `${version} is the newest release, and runs.` };
    const hindered = hindrance({
      followed,
      runningHash,
      rootHash: wanted,
      listed: newest.listed,
      failed: failedRoots(this.#ports),
      history: this.#releases.history(),
      nowMs: this.#ports.clock.nowMs(),
    });
    if (hindered !== undefined) {
      const { errorCode, reason } = hindered;
      return { ...seen, errorCode, result: `${version} is not installed: ${reason}.` };
    }
    if (followed.isCheckOnly) return { ...seen, result: `${version} can be installed.` };
    this.#ports.log(`channel ${followed.channel}: the install of ${version} begins`);
    await this.#releases.start(newest, followed);
    return { ...seen, result: `The install of ${version} has begun.` };
  }

  #plan(secondsMax = Number.POSITIVE_INFINITY): void {
    const { followed } = this.#state;
    if (followed === undefined) return;
    const { random, clock } = this.#ports;
    const everySeconds = Math.min(followed.everySeconds, secondsMax);
    const ms = waitMs({ everySeconds }, shareOf(random(SHARE_BYTES)));
    this.#nextAtMs = clock.monotonicMs() + ms;
    this.#state = { ...this.#state, nextMs: clock.nowMs() + ms };
  }

  #told(change: Partial<FollowerState>): void {
    this.#state = { ...this.#state, lookedMs: this.#ports.clock.nowMs(), ...change };
  }
}

function asError(cause: unknown, { channel }: FollowedChannel): KeelError {
  if (cause instanceof KeelError) return cause;
  if (cause instanceof DOMException && cause.name === 'TimeoutError') {
    const reason = `no answer in ${LOOK_MS_MAX / 1000} s`;
    return new KeelError('E_SOURCE_TIMEOUT', `Cannot look at channel ${channel}: ${reason}`);
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KeelError('E_INTERNAL', `Cannot look at channel ${channel}: ${reason}`, { cause });
}
