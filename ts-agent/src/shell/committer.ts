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
import {
  DEFAULT_POLICY,
  type GateState,
  judgeBoot,
  judgeGate,
  NO_ENTRY_LEFT,
  type Standing,
} from '../core/trial.ts';
import { attempt, attemptAsync } from './attempt.ts';
import { runningTrust } from './bundle-check.ts';
import { discardTrialEvidence } from './trial-evidence.ts';
import { TrialLedger } from './trial-ledger.ts';
import type { UpdateEngine } from './update-engine.ts';
import type { CommitterPorts } from './update-ports.ts';
import { forgetTrial, forgiveRoot, raiseEpochFloor, trialRecord } from './update-records.ts';

/** Time between two looks at the checks. */
export const GATE_POLL_MS = 1_000;
/** The same while nothing is on trial. */
export const PUT_BACK_POLL_MS = 5_000;
/** Between two tries to write down how a trial ended. */
const END_AGAIN_MS = 60_000;
/** Tries to read what would boot that are told, and waited for, when the agent starts. */
const READS_MAX = 10;
/** Times that PID 1 is told of a commit. It reboots at its deadline, 30 s after that of the checks, unless it knows. */
const TELLS_MAX = 30;

/** Longest reason that PID 1 is given. */
const REASON_CHARS_MAX = 250;

/** How a run of the committer ended. */
export type CommitterOutcome =
  /** Nothing is on trial; the running release has all its tries. */
  | 'settled'
  | 'committed'
  /** The trial is given up, and the reboot asked for. */
  | 'given-up'
  /** Armed in this boot: the reboot has been asked for, or is the operator's. */
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
  readonly #ledger: TrialLedger;
  readonly #stop = new AbortController();
  readonly #judged = Promise.withResolvers<void>();
  /** What is left of the end of a trial, and when it is done again. */
  #unended: { readonly work: () => Promise<boolean>; readonly againMs: number } | undefined;

  constructor(ports: CommitterPorts, engine: UpdateEngine) {
    this.#ports = ports;
    this.#engine = engine;
    this.#ledger = new TrialLedger(ports, engine);
  }

  /** Fulfilled once records and history are in order, however long a trial goes on after it, or when that failed. */
  get judged(): Promise<void> {
    return this.#judged.promise;
  }

  /** Does all of it. @throws the signal's reason after {@link close} */
  async run(): Promise<CommitterOutcome> {
    try {
      await this.#ports.evidenceKept(this.#stop.signal);
      const picture = await this.#picture();
      const standing = await this.#standing(picture);
      const outcome = await this.#settle(standing, picture);
      this.#judged.resolve();
      return outcome ?? (await this.#putBack(picture));
    } finally {
      this.#judged.resolve();
    }
  }

  /** True after {@link close}. */
  get isClosed(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Ends it; what was not done is done at the next start. */
  close(): void {
    this.#stop.abort(new KeelError('E_CANCELLED', 'Cannot go on with the trial: the agent ends'));
  }

  /** The partition may be busy, or the disk late. Whoever waits for the judgement waits for the first tries only. */
  async #picture(): Promise<BootPicture> {
    for (let reads = 1; ; reads += 1) {
      try {
        return await this.#ports.boot.read();
      } catch (cause) {
        if (!isOfTheWorld(cause)) throw cause;
        if (reads <= READS_MAX) this.#ports.log(`boot state not read: ${cause.message}`);
        else this.#judged.resolve();
        await this.#wait(reads <= READS_MAX ? GATE_POLL_MS : PUT_BACK_POLL_MS);
      }
    }
  }

  async #standing({ running, entries }: BootPicture): Promise<Standing> {
    const { facts, log } = this.#ports;
    const kept = attempt(log, 'trial record', () => trialRecord(this.#ports));
    const known = attempt(log, 'history', () => this.#engine.history.find(kept?.id ?? ''));
    // A committed trial is over, also when the power failed before its record went: that another release runs now says
    // nothing of it, and its entry is that of a good release.
    const isOver = known?.outcome === 'committed' && running.rootHash !== kept?.to.rootHash;
    if (isOver) attempt(log, 'trial record', () => forgetTrial(this.#ports));
    const record = isOver ? undefined : kept;
    this.#ledger.closeOrphans(record, running);
    const history = attempt(log, 'history', () => this.#engine.history.entries()) ?? [];
    const bootId = await facts.bootId();
    const outcome = history.find(({ id }) => id === record?.id)?.outcome;
    const lastCommitted = history.find(
      (entry) => entry.outcome === 'committed' && entry.kind !== 'repair',
    );
    return judgeBoot({ running, entries, record, bootId, outcome, lastCommitted });
  }

  /** Undefined when nothing keeps the tries from being put back. */
  async #settle(standing: Standing, picture: BootPicture): Promise<CommitterOutcome | undefined> {
    const record = 'record' in standing ? standing.record : undefined;
    if (record !== undefined && standing.kind !== 'closed') {
      this.#ledger.show(record, standing.kind === 'armed' ? 'armed' : 'trial');
    }
    const running = releaseOf(picture.running);
    switch (standing.kind) {
      case 'settled':
        return undefined;
      case 'armed':
        this.#judged.resolve();
        await this.#engine.resume(standing.record);
        return 'armed';
      case 'trial':
        this.#judged.resolve();
        return this.#tryOut({ record, sequence: standing.sequence, running });
      case 'unwanted-trial':
        this.#judged.resolve();
        return this.#giveUp(standing, { cause: 'It was cancelled.', evidence: [] });
      case 'committed':
        await this.#finish({ record, sequence: standing.record.sequence, running });
        return undefined;
      case 'failed':
        return this.#end(() => this.#ledger.failed(standing.record));
      case 'untried':
        return this.#end(() => this.#ledger.untried(standing.record, standing.cause));
      case 'closed':
        return this.#end(() => this.#ledger.clear(standing.record));
      case 'fallback':
        this.#ledger.fellBack(standing, running);
        return undefined;
    }
  }

  /** The end of a trial in the books. What the disk does not take is done again while the tries are put back. */
  async #end(work: () => Promise<boolean>): Promise<undefined> {
    if (!(await work())) this.#unended = { work, againMs: this.#againMs() };
  }

  async #endAgain(): Promise<void> {
    const { clock } = this.#ports;
    if (this.#unended === undefined || clock.monotonicMs() < this.#unended.againMs) return;
    const { work } = this.#unended;
    this.#unended = (await work()) ? undefined : { work, againMs: this.#againMs() };
  }

  #againMs(): number {
    return this.#ports.clock.monotonicMs() + END_AGAIN_MS;
  }

  /** The gate. */
  async #tryOut(trial: Trial): Promise<CommitterOutcome> {
    const policy = trial.record?.policy ?? DEFAULT_POLICY;
    const held = trial.record?.heldChecks ?? [];
    const { clock, health, apiProblem, log } = this.#ports;
    // A loader that has not counted would start this trial again and again.
    await attemptAsync(log, 'tries of the trial', () =>
      this.#ports.boot.spendTries(trial.sequence),
    );
    let state: GateState = { healthySinceMs: undefined };
    let commitProblem = '';
    for (;;) {
      const results = await health();
      const look = (lastProblem: string | undefined) =>
        judgeGate(state, { policy, results, held, lastProblem, uptimeMs: clock.monotonicMs() });
      let judged = look(undefined);
      if (judged.decision.kind === 'ask-api') {
        const problem = await apiProblem();
        judged = look(problem === '' ? '' : `api from outside: ${problem}`);
      }
      if (judged.decision.kind === 'give-up' && commitProblem !== '') judged = look(commitProblem);
      state = judged.state;
      const { decision } = judged;
      if (decision.kind === 'give-up') return this.#giveUp(trial, decision);
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
    for (let tells = 1; !(await this.#tellInit('committed', '')) && tells < TELLS_MAX; tells += 1) {
      await this.#wait(GATE_POLL_MS);
    }
    const damage = await this.#mendLadder(running);
    await attemptAsync(this.#ports.log, 'epoch', async () => {
      raiseEpochFloor(this.#ports, (await runningTrust(this.#ports)).epoch);
    });
    attempt(this.#ports.log, 'failed roots', () => forgiveRoot(this.#ports, running.rootHash));
    this.#ledger.committed(running.rootHash);
    this.#ledger.repaired(damage, running);
    if (record === undefined) return;
    attempt(this.#ports.log, 'trial record', () => forgetTrial(this.#ports));
    discardTrialEvidence(this.#ports);
    this.#engine.progress.change({ phase: 'committed', waitingFor: [] });
    await this.#engine.committed(record.id);
  }

  /** The try is spent, so the other slot runs after the reboot; there the history is closed. */
  async #giveUp(
    { record, sequence }: Pick<Trial, 'record' | 'sequence'>,
    why: { readonly cause: string; readonly evidence: readonly string[] },
  ): Promise<CommitterOutcome> {
    const { cause, evidence } = why;
    this.#ports.log(`trial given up: ${cause}`);
    if (record !== undefined) {
      attempt(this.#ports.log, 'history', () =>
        this.#engine.history.note(record.id, { cause, evidence }),
      );
    }
    this.#engine.progress.change({ waitingFor: [cause] });
    // Where no entry has a try left, the loader would start this one again.
    await attemptAsync(this.#ports.log, 'tries of the other release', () =>
      this.#ports.boot.reviveOthers(sequence),
    );
    await this.#tellInit('given-up', cause);
    const reason = `the release on trial is given up: ${cause}`.slice(0, REASON_CHARS_MAX);
    for (;;) {
      const asked = await attemptAsync(this.#ports.log, 'reboot', async () => {
        const reply = await this.#ports.init.request({ op: 'reboot', reason });
        return reply.type === 'ok';
      });
      if (asked === true) return 'given-up';
      // PID 1 ends the trial by itself when nobody else does.
      await this.#wait(GATE_POLL_MS);
    }
  }

  /**
   * Waits until the release is healthy, however long that takes, and gives it its tries back. At once while a failed trial
   * still has its entry: with no tries left here, the loader would take that one for ever.
   */
  async #putBack({ running }: BootPicture): Promise<CommitterOutcome> {
    for (let isPutBack = false; ; ) {
      await this.#endAgain();
      if (!isPutBack && (await this.#putBackNow())) {
        isPutBack = true;
        const damage = await this.#mendLadder(releaseOf(running));
        const gone = running.entry === undefined ? [NO_ENTRY_LEFT] : [];
        this.#ledger.repaired([...gone, ...damage], releaseOf(running));
      }
      if (isPutBack && this.#unended === undefined) return 'settled';
      await this.#wait(PUT_BACK_POLL_MS);
    }
  }

  async #putBackNow(): Promise<boolean> {
    if (this.#unended === undefined) {
      const results = await this.#ports.health();
      if (!isHealthy(results.filter(({ name }) => !isOutsideCheck(name)))) return false;
    }
    const isDone = await attemptAsync(this.#ports.log, 'tries', async () => {
      await this.#ports.boot.putBackTries();
      return true;
    });
    return isDone === true;
  }

  async #mendLadder(running: SlotRelease): Promise<readonly string[]> {
    const mend = () => this.#ports.mendLadder(running);
    return (await attemptAsync(this.#ports.log, 'boot options', mend)) ?? [];
  }

  /** True once PID 1 has taken it. */
  async #tellInit(outcome: 'committed' | 'given-up', reason: string): Promise<boolean> {
    const isTaken = await attemptAsync(this.#ports.log, 'verdict for PID 1', async () => {
      const request = { op: 'settleTrial', outcome, ...(reason === '' ? {} : { reason }) } as const;
      const reply = await this.#ports.init.request(request);
      if (reply.type === 'error') this.#ports.log(`PID 1 on the trial: ${reply.message}`);
      return reply.type !== 'error';
    });
    return isTaken === true;
  }

  #wait(ms: number): Promise<void> {
    return this.#ports.wait(ms, this.#stop.signal);
  }
}

/** An error of the table or of the kernel; anything else is a bug. */
function isOfTheWorld(cause: unknown): cause is Error {
  return cause instanceof KeelError || (cause instanceof Error && 'errno' in cause);
}

function releaseOf({ slot, version, rootHash }: SlotRelease): SlotRelease {
  return { slot, version, rootHash };
}
