/** Writes down how trials ended that this boot did not see end: history, failed roots, status; and clears up after them. */
import type { ErrorCode } from '@keelos/proto/errors.ts';
import type { SlotRelease, TrialRecord } from '@keelos/proto/update-record.ts';
import type { BootPicture } from '../core/boot-state.ts';
import { isTrialEntry, type Standing } from '../core/trial.ts';
import { NO_UPDATE } from '../core/update-status.ts';
import { attempt, attemptAsync } from './attempt.ts';
import { discardTrialEvidence, findTrialEvidence } from './trial-evidence.ts';
import type { UpdateEngine } from './update-engine.ts';
import { CUT_OFF, openEntry } from './update-history.ts';
import type { CommitterPorts } from './update-ports.ts';
import { forgetTrial, rememberFailedRoot } from './update-records.ts';

/** The books of one node. The history is closed before the entry goes, and the trial record goes last. */
export class TrialLedger {
  readonly #ports: CommitterPorts;
  readonly #engine: UpdateEngine;

  constructor(ports: CommitterPorts, engine: UpdateEngine) {
    this.#ports = ports;
    this.#engine = engine;
  }

  /**
   * Closes what nobody will close any more: installs that ended with the agent, or the machine, that ran them, and those
   * of the running release, when it is committed and the disk did not take that word.
   */
  closeOrphans(trial: TrialRecord | undefined, { rootHash, entry }: BootPicture['running']): void {
    const { history } = this.#engine;
    // One may have begun since this agent started.
    const living = [trial?.id, this.#engine.status().id];
    const isOnTrial = entry !== undefined && isTrialEntry(entry.name);
    attempt(this.#ports.log, 'history', () => {
      const open = history.entries().filter(({ outcome }) => outcome === 'open');
      for (const { id, to } of open.filter((one) => !living.includes(one.id))) {
        if (to.rootHash !== rootHash) history.close(id, CUT_OFF);
        else if (!isOnTrial) history.close(id, { outcome: 'committed' });
      }
    });
  }

  /** The running release is committed. Its record may be lost; its root tells which entries are its own. */
  committed(rootHash: string): void {
    const { history } = this.#engine;
    attempt(this.#ports.log, 'history', () => {
      for (const { id, to } of history.entries()) {
        if (to.rootHash === rootHash) history.close(id, { outcome: 'committed' });
      }
    });
  }

  /**
   * The try is spent, and another root runs. Entry and record stay until the root is remembered and the history closed:
   * what is forgotten would be tried again.
   *
   * @returns whether all of it is done; what is not is done when it is called again
   */
  async failed(record: TrialRecord): Promise<boolean> {
    const { history } = this.#engine;
    const found = findTrialEvidence(this.#ports, record);
    const entry = attempt(this.#ports.log, 'history', () => history.find(record.id));
    const cause = entry === undefined || entry.cause === '' ? found.cause : entry.cause;
    const evidence = [...(entry?.evidence ?? []), ...found.evidence];
    const { rootHash, version } = record.to;
    const atMs = this.#ports.clock.nowMs();
    const end = { outcome: 'rolled-back', automatic: true, cause, evidence } as const;
    const isKept = attempt(this.#ports.log, 'failed trial', () => {
      rememberFailedRoot(this.#ports, { rootHash, version, atMs, cause });
      if (entry === undefined) history.put(openEntry(record, record.armedMs));
      history.close(record.id, end);
      return true;
    });
    this.#ports.log(`${version} failed its trial: ${cause}`);
    this.#tellFailed('E_UPDATE_ROLLED_BACK', cause);
    return isKept === true && (await this.clear(record));
  }

  /**
   * Nothing was tried, so nothing is held against the root. The entry goes in any case: it would be tried at some later
   * restart, after somebody was told that it failed.
   *
   * @returns as {@link failed}
   */
  async untried(record: TrialRecord, cause: string): Promise<boolean> {
    const isKept = attempt(this.#ports.log, 'history', () => {
      this.#engine.history.close(record.id, { ...CUT_OFF, cause });
      return true;
    });
    this.#ports.log(`${record.to.version} was not tried: ${cause}`);
    this.#tellFailed(CUT_OFF.code, cause);
    return (await this.#removeEntry(record)) && isKept === true && this.#forget();
  }

  #tellFailed(errorCode: ErrorCode, errorMessage: string): void {
    this.#engine.progress.change({ phase: 'failed', errorCode, errorMessage });
  }

  /** The entry first: as long as the record is there, this is done again. @returns as {@link failed} */
  async clear(record: TrialRecord): Promise<boolean> {
    return (await this.#removeEntry(record)) && this.#forget();
  }

  #forget(): boolean {
    discardTrialEvidence(this.#ports);
    const isForgotten = attempt(this.#ports.log, 'trial record', () => {
      forgetTrial(this.#ports);
      return true;
    });
    return isForgotten === true;
  }

  async #removeEntry({ sequence }: TrialRecord): Promise<boolean> {
    const isGone = await attemptAsync(this.#ports.log, 'entry of the failed trial', async () => {
      await this.#ports.boot.removeEntry(sequence);
      return true;
    });
    return isGone === true;
  }

  /** A committed release gave way. Its entry stays, if it has one: it boots when nothing better is there. */
  fellBack(found: Extract<Standing, { kind: 'fallback' }>, running: SlotRelease): void {
    const { id, from } = found;
    const nowMs = this.#ports.clock.nowMs();
    const cause = `${from.version} in slot ${from.slot} gave way. ${found.cause}`;
    attempt(this.#ports.log, 'history', () => {
      if (this.#engine.history.find(id) !== undefined) return;
      this.#engine.history.put({
        ...openEntry({ id, kind: 'rollback', who: '', reason: '', from, to: running }, nowMs),
        ...{ automatic: true, outcome: 'committed', endedMs: nowMs, cause },
        evidence: findTrialEvidence(this.#ports, undefined).evidence,
      });
      this.#ports.log(cause);
      discardTrialEvidence(this.#ports);
    });
  }

  /**
   * What starts the node was damaged, and has been written anew. The same with nothing but repairs between is one entry,
   * which says since when, and when last: firmware that forgets at every boot must not push out the history.
   */
  repaired(damage: readonly string[], running: SlotRelease): void {
    if (damage.length === 0) return;
    const { history } = this.#engine;
    const nowMs = this.#ports.clock.nowMs();
    const cause = `${damage.join(' ')} It was written anew.`;
    this.#ports.log(cause);
    attempt(this.#ports.log, 'history', () => {
      const entries = history.entries();
      const other = entries.findIndex(({ kind }) => kind !== 'repair');
      const repairs = other === -1 ? entries : entries.slice(0, other);
      const same = repairs.find((one) => one.cause === cause);
      const id = same?.id ?? `repair-${nowMs}`;
      const repair = {
        id,
        kind: 'repair',
        who: '',
        reason: '',
        from: running,
        to: running,
      } as const;
      history.put({
        ...openEntry(repair, same?.startedMs ?? nowMs),
        ...{ automatic: true, outcome: 'committed', endedMs: nowMs, cause },
      });
    });
  }

  /** Tells it to whoever watches. */
  show(record: TrialRecord, phase: 'armed' | 'trial'): void {
    const { slot, version, rootHash } = record.to;
    this.#engine.progress.set({
      ...NO_UPDATE,
      id: record.id,
      phase,
      slot,
      version,
      rootHash,
      startedMs: record.armedMs,
    });
  }
}
