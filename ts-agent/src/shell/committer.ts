/**
 * What the agent does about a trial when it starts: finds out what this boot is (core/trial.ts), brings records and
 * history in order, lets a trial through the gate or gives it up, and puts the tries of a healthy release back.
 *
 * Every step can be cut off by a loss of power and is done again at the next start: the history is closed before the
 * entry goes, and the trial record goes last.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { SlotRelease, TrialRecord } from '@keelos/proto/update-record.ts';
import type { BootPicture } from '../core/boot-state.ts';
import { isHealthy } from '../core/health-history.ts';
import { isOutsideCheck } from '../core/outside-checks.ts';
import { DEFAULT_POLICY, type GateState, judgeBoot, judgeGate, type Standing } from '../core/trial.ts';
import { NO_UPDATE } from '../core/update-status.ts';
import { runningTrust } from './bundle-check.ts';
import { discardTrialEvidence, findTrialEvidence } from './trial-evidence.ts';
import type { UpdateEngine } from './update-engine.ts';
import { openEntry } from './update-history.ts';
import type { CommitterPorts } from './update-ports.ts';
import {
  forgetTrial,
  forgiveRoot,
  raiseEpochFloor,
  rememberFailedRoot,
  trialRecord,
} from './update-records.ts';

/** Time between two looks at the checks. */
export const GATE_POLL_MS = 1_000;
/** The same while nothing is on trial. */
export const PUT_BACK_POLL_MS = 5_000;
/** Tries to read what would boot, when the agent starts. */
const READS_MAX = 10;

/** Longest reason that PID 1 is given. */
const REASON_CHARS_MAX = 250;

/** How a run of the committer ended. */
export type CommitterOutcome =
  /** Nothing is on trial; the running release has all its tries. */
  | 'settled'
  | 'committed'
  /** The trial is given up, and the reboot asked for. */
  | 'given-up'
  /** Armed in this boot: the reboot is somebody else's. */
  | 'armed';

/** What is tried in this boot. */
interface Trial {
  readonly record: TrialRecord | undefined;
  readonly sequence: number;
  readonly running: SlotRelease;
}

/** One for each start of the agent. */
export class Committer {
  readonly #ports: CommitterPorts;
  readonly #engine: UpdateEngine;
  readonly #stop = new AbortController();

  constructor(ports: CommitterPorts, engine: UpdateEngine) {
    this.#ports = ports;
    this.#engine = engine;
  }

  /** Does all of it. @throws the signal's reason after {@link close} */
  async run(): Promise<CommitterOutcome> {
    const picture = await this.#picture();
    const standing = await this.#standing(picture);
    const outcome = await this.#settle(standing, picture);
    return outcome ?? (await this.#putBack(picture));
  }

  /** Ends it; what was not done is done at the next start. */
  close(): void {
    this.#stop.abort(new KeelError('E_CANCELLED', 'Cannot go on with the trial: the agent ends'));
  }

  /** The partition may be busy, or the disk late. */
  async #picture(): Promise<BootPicture> {
    for (let reads = 1; ; reads += 1) {
      try {
        return await this.#ports.boot.read();
      } catch (cause) {
        if (reads >= READS_MAX) throw cause;
        this.#ports.log(`boot state not read: ${cause instanceof Error ? cause.message : cause}`);
        await this.#wait(GATE_POLL_MS);
      }
    }
  }

  async #standing({ running, entries }: BootPicture): Promise<Standing> {
    const { facts } = this.#ports;
    const record = this.#attempt('trial record', () => trialRecord(this.#ports));
    const outcome = record && this.#attempt('history', () => this.#engine.history.find(record.id));
    const bootId = await facts.bootId();
    return judgeBoot({ running, entries, record, bootId, outcome: outcome?.outcome });
  }

  /** Undefined when nothing keeps the tries from being put back. */
  async #settle(standing: Standing, picture: BootPicture): Promise<CommitterOutcome | undefined> {
    const record = 'record' in standing ? standing.record : undefined;
    this.#closeOrphans(record);
    if (record !== undefined && standing.kind !== 'closed') {
      this.#show(record, standing.kind === 'armed' ? 'armed' : 'trial');
    }
    const running = releaseOf(picture.running);
    switch (standing.kind) {
      case 'settled':
        return undefined;
      case 'armed':
        return 'armed';
      case 'trial':
        return this.#tryOut({ record, sequence: standing.sequence, running });
      case 'unwanted-trial':
        return this.#giveUp(standing.record, { cause: 'It was cancelled.', evidence: [] });
      case 'committed':
        await this.#finish({ record, sequence: standing.record.sequence, running });
        return undefined;
      case 'failed':
        await this.#failed(standing.record);
        return undefined;
      case 'untried':
        await this.#untried(standing.record, standing.cause);
        return undefined;
      case 'closed':
        await this.#clear(standing.record);
        return undefined;
      case 'fallback':
        this.#fellBack(standing.spent, running);
        return undefined;
    }
  }

  /** Installs that ended with the agent, or the machine, that ran them. */
  #closeOrphans(trial: TrialRecord | undefined): void {
    const { history } = this.#engine;
    // One may have begun since this agent started.
    const living = [trial?.id, this.#engine.status().id];
    this.#attempt('history', () => {
      const open = history.entries().filter(({ outcome }) => outcome === 'open');
      for (const { id } of open.filter((one) => !living.includes(one.id))) {
        const cause = 'The node, or its agent, went down during the install.';
        history.close(id, { outcome: 'failed', cause });
      }
    });
  }

  /** The gate. */
  async #tryOut(trial: Trial): Promise<CommitterOutcome> {
    const policy = trial.record?.policy ?? DEFAULT_POLICY;
    const { clock, health, apiProblem, log } = this.#ports;
    let state: GateState = { healthySinceMs: undefined };
    let commitProblem = '';
    for (;;) {
      const results = await health();
      const look = (problem: string | undefined) =>
        judgeGate(state, { policy, results, apiProblem: problem, uptimeMs: clock.monotonicMs() });
      let judged = look(commitProblem === '' ? undefined : commitProblem);
      if (judged.decision.kind === 'ask-api') judged = look(await apiProblem());
      state = judged.state;
      const { decision } = judged;
      if (decision.kind === 'give-up') return this.#giveUp(trial.record, decision);
      if (decision.kind === 'commit') {
        commitProblem = await this.#commit(trial);
        if (commitProblem === '') return 'committed';
        log(`release not committed: ${commitProblem}`);
      } else {
        commitProblem = '';
        this.#tellWaiting(decision.kind === 'wait' ? decision.waitingFor : []);
      }
      await this.#wait(GATE_POLL_MS);
    }
  }

  #tellWaiting(waitingFor: readonly string[]): void {
    const { progress } = this.#engine;
    if (progress.status.waitingFor.join('\n') !== waitingFor.join('\n')) {
      progress.change({ waitingFor });
    }
  }

  /** Empty, or why the entry could not be committed. */
  async #commit(trial: Trial): Promise<string> {
    try {
      await this.#ports.boot.commit(trial.sequence);
    } catch (cause) {
      return `the entry could not be committed: ${cause instanceof Error ? cause.message : cause}`;
    }
    await this.#finish(trial);
    return '';
  }

  /** What follows a commit. Nothing of it may undo it. */
  async #finish({ record, running }: Trial): Promise<void> {
    await this.#tellInit('committed', '');
    await this.#attemptAsync('boot options', () => this.#ports.mendLadder(running));
    await this.#attemptAsync('epoch', async () => {
      raiseEpochFloor(this.#ports, (await runningTrust(this.#ports)).epoch);
    });
    this.#attempt('failed roots', () => forgiveRoot(this.#ports, running.rootHash));
    if (record === undefined) return;
    this.#attempt('history', () => this.#engine.history.close(record.id, { outcome: 'committed' }));
    this.#attempt('trial record', () => forgetTrial(this.#ports));
    discardTrialEvidence(this.#ports);
    this.#engine.progress.change({ phase: 'committed', waitingFor: [] });
    await this.#engine.committed(record.id);
  }

  /** The try is spent, so the other slot runs after the reboot; there the history is closed. */
  async #giveUp(
    record: TrialRecord | undefined,
    why: { readonly cause: string; readonly evidence: readonly string[] },
  ): Promise<CommitterOutcome> {
    const { cause, evidence } = why;
    this.#ports.log(`trial given up: ${cause}`);
    if (record !== undefined) {
      this.#attempt('history', () => this.#engine.history.note(record.id, { cause, evidence }));
    }
    this.#engine.progress.change({ waitingFor: [cause] });
    await this.#tellInit('given-up', cause);
    const reason = `the release on trial is given up: ${cause}`.slice(0, REASON_CHARS_MAX);
    for (;;) {
      const asked = await this.#attemptAsync('reboot', async () => {
        const reply = await this.#ports.init.request({ op: 'reboot', reason });
        return reply.type === 'ok';
      });
      if (asked === true) return 'given-up';
      // PID 1 ends the trial by itself when nobody else does.
      await this.#wait(GATE_POLL_MS);
    }
  }

  async #failed(record: TrialRecord): Promise<void> {
    const { history } = this.#engine;
    const found = findTrialEvidence(this.#ports, record.armedBootId);
    const entry = this.#attempt('history', () => history.find(record.id));
    const cause = entry === undefined || entry.cause === '' ? found.cause : entry.cause;
    const evidence = [...(entry?.evidence ?? []), ...found.evidence];
    const { rootHash, version } = record.to;
    const atMs = this.#ports.clock.nowMs();
    this.#attempt('failed roots', () => {
      rememberFailedRoot(this.#ports, { rootHash, version, atMs, cause });
    });
    const end = { outcome: 'rolled-back', automatic: true, cause, evidence } as const;
    this.#attempt('history', () => {
      if (entry === undefined) history.put(openEntry(record, record.armedMs));
      history.close(record.id, end);
    });
    this.#ports.log(`${version} failed its trial: ${cause}`);
    await this.#clear(record);
    this.#tellFailed(cause);
  }

  async #untried(record: TrialRecord, cause: string): Promise<void> {
    this.#attempt('history', () => this.#engine.history.close(record.id, { outcome: 'failed', cause }));
    this.#ports.log(`${record.to.version} was not tried: ${cause}`);
    await this.#clear(record);
    this.#tellFailed(cause);
  }

  #tellFailed(cause: string): void {
    this.#engine.progress.change({
      ...{ phase: 'failed', errorCode: 'E_UPDATE_ROLLED_BACK', errorMessage: cause },
    });
  }

  /** The entry first: as long as the record is there, this is done again. */
  async #clear(record: TrialRecord): Promise<void> {
    const isGone = await this.#attemptAsync('entry of the failed trial', async () => {
      await this.#ports.boot.removeEntry(record.sequence);
      return true;
    });
    if (isGone !== true) return;
    discardTrialEvidence(this.#ports);
    this.#attempt('trial record', () => forgetTrial(this.#ports));
  }

  /** A committed release has used up its tries. Its entry stays: it boots when nothing better is there. */
  #fellBack(spent: Extract<Standing, { kind: 'fallback' }>['spent'], running: SlotRelease): void {
    const { version, rootHash = '', slot = running.slot === 'a' ? 'b' : 'a' } = spent;
    const id = `fallback-${spent.name.sequence}-${rootHash.slice(0, 8)}`;
    const nowMs = this.#ports.clock.nowMs();
    const cause = `Slot ${slot} has used up its tries: its root is damaged, or it lost power before it was healthy, again and again.`;
    this.#attempt('history', () => {
      if (this.#engine.history.find(id) !== undefined) return;
      this.#engine.history.put({
        ...{ id, kind: 'rollback', automatic: true, who: '', reason: '', code: '' },
        ...{ from: { slot, version, rootHash }, to: running, outcome: 'committed', cause },
        ...{ startedMs: nowMs, endedMs: nowMs },
        evidence: findTrialEvidence(this.#ports).evidence,
      });
      discardTrialEvidence(this.#ports);
    });
  }

  /** Waits until the release is healthy, however long that takes, and gives it its tries back. */
  async #putBack({ running }: BootPicture): Promise<CommitterOutcome> {
    for (;;) {
      const results = await this.#ports.health();
      if (isHealthy(results.filter(({ name }) => !isOutsideCheck(name)))) {
        const isDone = await this.#attemptAsync('tries', async () => {
          await this.#ports.boot.putBackTries();
          return true;
        });
        if (isDone === true) break;
      }
      await this.#wait(PUT_BACK_POLL_MS);
    }
    await this.#attemptAsync('boot options', () => this.#ports.mendLadder(releaseOf(running)));
    return 'settled';
  }

  #show(record: TrialRecord, phase: 'armed' | 'trial'): void {
    const { slot, version, rootHash } = record.to;
    this.#engine.progress.set({
      ...NO_UPDATE,
      ...{ id: record.id, phase, slot, version, rootHash, startedMs: record.armedMs },
    });
  }

  async #tellInit(outcome: 'committed' | 'given-up', reason: string): Promise<void> {
    await this.#attemptAsync('verdict for PID 1', async () => {
      const request = { op: 'settleTrial', outcome, ...(reason === '' ? {} : { reason }) } as const;
      const reply = await this.#ports.init.request(request);
      if (reply.type === 'error') this.#ports.log(`PID 1 on the trial: ${reply.message}`);
    });
  }

  #wait(ms: number): Promise<void> {
    return this.#ports.wait(ms, this.#stop.signal);
  }

  /** Errors of the world are logged: what is left undone is done at the next start. */
  #attempt<T>(what: string, act: () => T): T | undefined {
    try {
      return act();
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#ports.log(`${what}: ${cause.message}`);
      return undefined;
    }
  }

  async #attemptAsync<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#ports.log(`${what}: ${cause.message}`);
      return undefined;
    }
  }
}

function releaseOf({ slot, version, rootHash }: SlotRelease): SlotRelease {
  return { slot, version, rootHash };
}
