/** Writes down how trials ended that this boot did not see end: history, failed roots, status; and clears up after them. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { SlotRelease, TrialRecord } from '@keelos/proto/update-record.ts';
import type { Standing } from '../core/trial.ts';
import { NO_UPDATE } from '../core/update-status.ts';
import { discardTrialEvidence, findTrialEvidence } from './trial-evidence.ts';
import type { UpdateEngine } from './update-engine.ts';
import { openEntry, WENT_DOWN } from './update-history.ts';
import type { CommitterPorts } from './update-ports.ts';
import { forgetTrial, rememberFailedRoot } from './update-records.ts';

type Log = (line: string) => void;

/** Does it; an error of the world is logged, and undefined returned: what is left undone is done at the next start. */
export function attempt<T>(log: Log, what: string, act: () => T): T | undefined {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`${what}: ${cause.message}`);
    return undefined;
  }
}

/** The same for what takes time. */
export async function attemptAsync<T>(
  log: Log,
  what: string,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`${what}: ${cause.message}`);
    return undefined;
  }
}

/** The books of one node. The history is closed before the entry goes, and the trial record goes last. */
export class TrialLedger {
  readonly #ports: CommitterPorts;
  readonly #engine: UpdateEngine;

  constructor(ports: CommitterPorts, engine: UpdateEngine) {
    this.#ports = ports;
    this.#engine = engine;
  }

  /** Installs that ended with the agent, or the machine, that ran them. */
  closeOrphans(trial: TrialRecord | undefined): void {
    const { history } = this.#engine;
    // One may have begun since this agent started.
    const living = [trial?.id, this.#engine.status().id];
    attempt(this.#ports.log, 'history', () => {
      const open = history.entries().filter(({ outcome }) => outcome === 'open');
      for (const { id } of open.filter((one) => !living.includes(one.id))) {
        history.close(id, { outcome: 'failed', cause: WENT_DOWN });
      }
    });
  }

  /** The try is spent, and another root runs. */
  async failed(record: TrialRecord): Promise<void> {
    const { history } = this.#engine;
    const found = findTrialEvidence(this.#ports);
    const entry = attempt(this.#ports.log, 'history', () => history.find(record.id));
    const cause = entry === undefined || entry.cause === '' ? found.cause : entry.cause;
    const evidence = [...(entry?.evidence ?? []), ...found.evidence];
    const { rootHash, version } = record.to;
    const atMs = this.#ports.clock.nowMs();
    attempt(this.#ports.log, 'failed roots', () => {
      rememberFailedRoot(this.#ports, { rootHash, version, atMs, cause });
    });
    const end = { outcome: 'rolled-back', automatic: true, cause, evidence } as const;
    attempt(this.#ports.log, 'history', () => {
      if (entry === undefined) history.put(openEntry(record, record.armedMs));
      history.close(record.id, end);
    });
    this.#ports.log(`${version} failed its trial: ${cause}`);
    await this.clear(record);
    this.#tellFailed(cause);
  }

  /** Nothing was tried, so nothing is held against the root. */
  async untried(record: TrialRecord, cause: string): Promise<void> {
    attempt(this.#ports.log, 'history', () =>
      this.#engine.history.close(record.id, { outcome: 'failed', cause }),
    );
    this.#ports.log(`${record.to.version} was not tried: ${cause}`);
    await this.clear(record);
    this.#tellFailed(cause);
  }

  #tellFailed(cause: string): void {
    this.#engine.progress.change({
      ...{ phase: 'failed', errorCode: 'E_UPDATE_ROLLED_BACK', errorMessage: cause },
    });
  }

  /** The entry first: as long as the record is there, this is done again. */
  async clear(record: TrialRecord): Promise<void> {
    const isGone = await attemptAsync(this.#ports.log, 'entry of the failed trial', async () => {
      await this.#ports.boot.removeEntry(record.sequence);
      return true;
    });
    if (isGone !== true) return;
    discardTrialEvidence(this.#ports);
    attempt(this.#ports.log, 'trial record', () => forgetTrial(this.#ports));
  }

  /** A committed release has used up its tries. Its entry stays: it boots when nothing better is there. */
  fellBack(spent: Extract<Standing, { kind: 'fallback' }>['spent'], running: SlotRelease): void {
    const { version, rootHash = '', slot = running.slot === 'a' ? 'b' : 'a' } = spent;
    const id = `fallback-${spent.name.sequence}-${rootHash.slice(0, 8)}`;
    const nowMs = this.#ports.clock.nowMs();
    const cause = `Slot ${slot} has used up its tries: its root is damaged, or it lost power before it was healthy, again and again.`;
    attempt(this.#ports.log, 'history', () => {
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

  /** Tells it to whoever watches. */
  show(record: TrialRecord, phase: 'armed' | 'trial'): void {
    const { slot, version, rootHash } = record.to;
    this.#engine.progress.set({
      ...NO_UPDATE,
      ...{ id: record.id, phase, slot, version, rootHash, startedMs: record.armedMs },
    });
  }
}
