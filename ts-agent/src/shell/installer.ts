/** Installs releases and goes back to them: one function for each effect of core/update-transitions.ts. */
import { createHash } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import type { TrialRecord } from '@keelos/proto/update-record.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { failedBefore, notCounting, rootTableProblem } from '../core/acceptance.ts';
import { demandHash, demandWhole } from '../core/bundle-hashes.ts';
import { treeBytes } from '../core/slot-contents.ts';
import { heldChecks } from '../core/trial.ts';
import { attempt } from './attempt.ts';
import {
  checkBundle,
  demandCommitted,
  demandOwnRoot,
  demandSettled,
  runningEpoch,
} from './bundle-check.ts';
import { copyRoot, exactly, hashRange, resumableBytes, slotRead, slotWrite } from './root-copy.ts';
import { discardTrialEvidence } from './trial-evidence.ts';
import {
  type AcceptedBundle,
  type CourseEffects,
  type CourseWish,
  UpdateCourse,
} from './update-course.ts';
import { CUT_OFF, openEntry, UpdateHistory } from './update-history.ts';
import type { InstallerPorts } from './update-ports.ts';
import type { UpdateProgress } from './update-progress.ts';
import {
  epochFloor,
  failedRoots,
  forgetResume,
  forgetTrial,
  keepResume,
  keepTrial,
  knownEpoch,
  rememberEpoch,
  resumeRecord,
} from './update-records.ts';

/** Bytes of a random id, which has two digits for each. */
const ID_BYTES = 6;

/** What happens between the arming and the trial; the engine gives it. */
export interface RebootParts {
  readonly runHooks: (course: UpdateCourse) => Promise<void>;
  readonly askReboot: (course: UpdateCourse) => Promise<void>;
}

/** Makes courses. */
export class Installer {
  readonly #ports: InstallerPorts;
  readonly #progress: UpdateProgress;
  readonly #history: UpdateHistory;
  readonly #effects: CourseEffects;

  constructor(ports: InstallerPorts, progress: UpdateProgress, reboot: RebootParts) {
    this.#ports = ports;
    this.#progress = progress;
    this.#history = new UpdateHistory(ports);
    this.#effects = {
      'check-bundle': (course, signal) => checkBundle(ports, course, signal),
      'read-through': (course, signal) => this.#readThrough(course, signal),
      'check-other-slot': (course) => this.#checkOtherSlot(course),
      'open-history': async (course) => this.#openHistory(course),
      disarm: () => ports.boot.disarmOther(),
      'write-root': (course, signal) => this.#writeRoot(course, signal),
      'verify-root': (course, signal) => this.#verifyRoot(course, signal),
      'name-slot': (course) => this.#nameSlot(course),
      'place-kernel-image': (course, signal) => this.#placeKernelImage(course, signal),
      'record-trial': (course) => this.#recordTrial(course),
      arm: (course) => ports.boot.arm({ ...course.target.to, sequence: trialOf(course).sequence }),
      unarm: (course) => this.#unarm(course),
      'forget-resume': async () => forgetResume(ports),
      'run-hooks': (course) => reboot.runHooks(course),
      'ask-reboot': (course) => reboot.askReboot(course),
      'close-history': async (course) => this.#closeHistory(course),
      'forget-trial': async () => forgetTrial(ports),
    };
  }

  /** A course that has not begun. */
  course(wish: Omit<CourseWish, 'id'>): UpdateCourse {
    const id = Buffer.from(this.#ports.random(ID_BYTES)).toString('hex');
    const { log } = this.#ports;
    return new UpdateCourse(
      { ...wish, id },
      { effects: this.#effects, progress: this.#progress, log },
    );
  }

  /** The course of a release that was armed before the agent was started, for trying it or giving it up. */
  armedCourse(trial: TrialRecord): UpdateCourse {
    const { id, kind, who, reason, policy, isRebootLeft } = trial;
    const wish = { id, kind, who, reason, policy, isRebootLeft, retryFailed: false, sha256: '' };
    const { log } = this.#ports;
    const parts = { effects: this.#effects, progress: this.#progress, log };
    return UpdateCourse.armed(wish, parts, trial);
  }

  async #readThrough(course: UpdateCourse, signal: AbortSignal): Promise<void> {
    const { source, sha256 } = course.wish;
    const { manifest, rest } = bundleOf(course);
    if (source === undefined) return;
    const { root, uki } = manifest;
    const totalBytes = root.size + uki.size;
    const whole = createHash('sha256');
    const count = (before: number) => (done: number) =>
      this.#progress.count(before + done, totalBytes);
    const rootRange = { offsetBytes: root.offset, lengthBytes: root.size };
    await hashRange({ source, signal, ...rootRange, hash: whole, onProgress: count(0) });
    demandHash('root', { found: whole.copy().digest('hex'), expected: root.sha256 });
    const own = createHash('sha256');
    const both = {
      update(piece: string | NodeJS.ArrayBufferView) {
        whole.update(piece);
        return own.update(piece);
      },
    };
    const ukiRange = { offsetBytes: uki.offset, lengthBytes: uki.size };
    await hashRange({ source, signal, ...ukiRange, hash: both, onProgress: count(root.size) });
    demandHash('kernel image', { found: own.digest('hex'), expected: uki.sha256 });
    demandWhole(whole.update(rest).digest('hex'), sha256);
  }

  #openHistory({ wish, target }: UpdateCourse): void {
    const { from, to } = target;
    this.#history.put(openEntry({ ...wish, from, to }, this.#ports.clock.nowMs()));
  }

  #closeHistory(course: UpdateCourse): void {
    const { id } = course.wish;
    if (course.state === 'cancelled') {
      const isGivenUp = course.cancelledBy !== 'agent';
      this.#history.close(
        id,
        isGivenUp ? { outcome: 'cancelled', cause: 'An operator cancelled it.' } : CUT_OFF,
      );
      return;
    }
    if (!course.hasTarget) return;
    if (this.#history.find(id) === undefined) this.#openHistory(course);
    const cause = course.failure?.message ?? '';
    this.#history.close(id, { outcome: 'failed', cause, code: course.failure?.code ?? '' });
  }

  async #writeRoot(course: UpdateCourse, signal: AbortSignal): Promise<void> {
    const { source } = course.wish;
    const { manifest, manifestSha256 } = bundleOf(course);
    if (source === undefined) return;
    const { place } = course.target;
    const { size: sizeBytes, sha256 } = manifest.root;
    const { slot } = place;
    const device = await slotWrite(this.#ports.openDevice(place.device, 'write'));
    try {
      const record = resumeRecord(this.#ports);
      const earlier = resumableBytes(record, { manifestSha256, slot, sizeBytes });
      // What an earlier try left may have rotted since: then all is copied anew, once.
      for (const resumedBytes of earlier === 0 ? [0] : [earlier, 0]) {
        const onDurable = (writtenBytes: number) =>
          keepResume(this.#ports, { manifestSha256, slot, writtenBytes });
        onDurable(resumedBytes);
        this.#progress.change({ resumedBytes });
        const onProgress = (done: number) => this.#progress.count(done, sizeBytes);
        const hash = await copyRoot({
          source,
          sizeBytes,
          device,
          resumedBytes,
          signal,
          onProgress,
          onDurable,
        });
        const found = hash.copy().digest('hex');
        if (found === sha256 || resumedBytes === 0) {
          if (found !== sha256) forgetResume(this.#ports);
          demandHash('root', { found, expected: sha256 });
          course.bundleHash = hash;
          return;
        }
        this.#ports.log('what an earlier try left in the slot has changed: it is written anew');
      }
    } finally {
      await device.close();
    }
  }

  async #verifyRoot(course: UpdateCourse, signal: AbortSignal): Promise<void> {
    const { place, table, bundle, to } = course.target;
    const dataBytes = table.dataBlocks * VERITY_BLOCK_BYTES;
    if (dataBytes + treeBytes(table) > place.sizeBytes) {
      throw new KeelError('E_SLOT_TOO_SMALL', `Cannot verify slot ${to.slot}: its root is larger`);
    }
    const device = await slotRead('open', this.#ports.openDevice(place.device, 'read'));
    try {
      await slotRead('read', device.dropCache());
    } finally {
      await device.close();
    }
    const onProgress = (done: number) => this.#progress.count(Math.min(done, dataBytes), dataBytes);
    const { isIntact, badCount } = await slotRead(
      'verify',
      this.#ports.verifyImage(
        { ...table, device: place.device },
        { signal, withFileSystem: false, onProgress },
      ),
    );
    if (isIntact) return;
    const found = `slot ${to.slot} reads back with ${badCount} blocks that differ from their hashes`;
    if (bundle === undefined) {
      throw new KeelError('E_SLOT_DAMAGED', `Cannot go back to ${to.version}: ${found}`);
    }
    forgetResume(this.#ports);
    throw new KeelError('E_SLOT_WRITE', `Cannot install ${to.version}: ${found}`);
  }

  async #nameSlot(course: UpdateCourse): Promise<void> {
    const { place, to } = course.target;
    const guid = slotGuid(to.rootHash);
    if (place.guid === guid) return;
    const disk = await slotWrite(this.#ports.openDevice(place.disk, 'write'));
    try {
      const { partitionNumber } = place;
      await slotWrite(this.#ports.setSlotGuid(disk, { partitionNumber, guid }));
    } finally {
      await disk.close();
    }
  }

  async #placeKernelImage(course: UpdateCourse, signal: AbortSignal): Promise<void> {
    const { source, sha256: wholeSha256 } = course.wish;
    const { manifest, rest } = bundleOf(course);
    if (source === undefined) return;
    const { offset, size: sizeBytes, sha256 } = manifest.uki;
    const own = createHash('sha256');
    const { bundleHash } = course;
    const progress = this.#progress;
    const checked = async function* (): AsyncGenerator<Uint8Array> {
      let done = 0;
      const range = { offsetBytes: offset, lengthBytes: sizeBytes };
      for await (const piece of exactly(source.read(range, signal), sizeBytes)) {
        signal.throwIfAborted();
        own.update(piece);
        bundleHash?.update(piece);
        done += piece.length;
        progress.count(done, sizeBytes);
        yield piece;
      }
      demandHash('kernel image', { found: own.digest('hex'), expected: sha256 });
    };
    const { rootHash } = course.target.to;
    await this.#ports.boot.placeKernelImage({ rootHash, sizeBytes, sha256, bytes: checked() });
    if (bundleOf(course).isInOrder) {
      const table = await this.#ports.facts.rootTable(rootHash);
      demandOwnRoot(rootTableProblem(table, manifest), manifest);
    }
    if (wholeSha256 === '' || bundleHash === undefined) return;
    demandWhole(bundleHash.update(rest).digest('hex'), wholeSha256);
  }

  async #checkOtherSlot(course: UpdateCourse): Promise<void> {
    demandSettled(this.#ports);
    const refuse = (code: ConstructorParameters<typeof KeelError>[0], reason: string) =>
      new KeelError(code, `Cannot go back: ${reason}`);
    const picture = await this.#ports.boot.read();
    demandCommitted(picture);
    const { running, entries, isCounting } = picture;
    const place = await this.#ports.facts.otherSlot();
    const others = entries.filter(
      ({ rootHash }) => ![undefined, running.rootHash].includes(rootHash),
    );
    const entry = others.find(({ slot }) => slot === place.slot) ?? others[0];
    const rootHash = entry?.rootHash;
    const table = rootHash === undefined ? undefined : await this.#ports.facts.rootTable(rootHash);
    if (entry === undefined || rootHash === undefined || table === undefined) {
      throw refuse('E_SLOT_EMPTY', `slot ${place.slot} has no release with a boot entry`);
    }
    const failed = failedRoots(this.#ports).find((one) => one.rootHash === rootHash);
    if (failed !== undefined && !course.wish.retryFailed) throw refuse(...failedBefore(failed));
    const epoch = knownEpoch(this.#ports, rootHash);
    const wanted = Math.max((await runningEpoch(this.#ports)) ?? 0, epochFloor(this.#ports));
    if (epoch !== undefined && epoch < wanted) {
      const reason = `the security epoch of ${entry.version} is ${epoch}, at least ${wanted} is wanted`;
      throw refuse('E_EPOCH_TOO_LOW', reason);
    }
    if (isCounting !== true) throw refuse(...notCounting(isCounting));
    course.target = {
      place,
      table,
      from: { slot: running.slot, version: running.version, rootHash: running.rootHash },
      to: { slot: place.slot, version: entry.version, rootHash },
    };
  }

  async #recordTrial(course: UpdateCourse): Promise<void> {
    const { id, kind, policy, who, reason, isRebootLeft } = course.wish;
    const { from, to } = course.target;
    // What is gone back to needs a try of its own, also when it has used up all of them: else the loader takes the failed
    // trial again and again. That it is committed was looked at.
    await this.#ports.boot.putBackTries();
    const { nextSequence } = await this.#ports.boot.read();
    const trial = {
      id,
      kind,
      sequence: nextSequence,
      from,
      to,
      policy,
      who,
      reason,
      armedMs: this.#ports.clock.nowMs(),
      armedBootId: await this.#ports.facts.bootId(),
      isRebootLeft,
      hadGateway: await this.#ports.facts.hasGateway(),
      // Who goes back knows what the older release lacks.
      heldChecks: kind === 'rollback' ? [] : heldChecks(await this.#ports.health()),
    };
    // Known before it is written: what is half written has to be undone, too.
    course.trial = trial;
    // Once the new release runs, this one is what can be gone back to.
    const epoch = await runningEpoch(this.#ports);
    if (epoch !== undefined) rememberEpoch(this.#ports, { rootHash: from.rootHash, epoch });
    // No trace is older than the trial.
    discardTrialEvidence(this.#ports);
    keepTrial(this.#ports, trial);
  }

  /**
   * When the entry stays because it cannot be taken away, no later agent reboots into what was not wanted any more. What
   * the end of this agent cut off is still wanted.
   */
  async #unarm({ trial, cancelledBy }: UpdateCourse): Promise<void> {
    if (trial === undefined) return;
    if (!trial.isRebootLeft && cancelledBy !== 'agent') {
      attempt(this.#ports.log, 'trial record', () =>
        keepTrial(this.#ports, { ...trial, isRebootLeft: true }),
      );
    }
    await this.#ports.boot.removeEntry(trial.sequence);
  }
}

function trialOf({ trial }: UpdateCourse): TrialRecord {
  if (trial === undefined) throw new TypeError('nothing is recorded to be armed');
  return trial;
}

function bundleOf({ target }: UpdateCourse): AcceptedBundle {
  if (target.bundle === undefined) throw new TypeError('a course without a bundle');
  return target.bundle;
}
