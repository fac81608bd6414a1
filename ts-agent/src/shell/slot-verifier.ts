/**
 * Verifies a slot: finds out which root it must hold, has the whole of it read and hashed in another process, and says
 * what that means. One verification at a time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  rootHashOver,
  saltOfContents,
  VERITY_BLOCK_BYTES,
  type VerityTable,
} from '@keelos/proto/verity-table.ts';
import type { BadBlockAt, ImageFindings, KnownRoot, RootSource } from '../core/slot-contents.ts';
import {
  bytesInAll,
  isTopOf,
  judgeSlot,
  placeOf,
  rootHashStart,
  rootOfGuid,
  squashfsBytes,
  treeBytes,
  withoutGuesses,
} from '../core/slot-contents.ts';
import { type UpdateStatus, writtenSlot } from '../core/update-status.ts';
import type { AgentPorts } from '../ports.ts';
import { bootEntryRoots, runningRoot } from './known-roots.ts';
import { findSlot, type SlotPartition, type SlotWanted } from './slots.ts';
import { resumeRecord } from './update-records.ts';

/** Time between two reports of progress. */
const PROGRESS_MS = 100;
/** A hash that nothing has: what is looked for is the SHA-256 of the data, which comes with it. */
const NO_ROOT_HASH = '0'.repeat(64);

/** What an install that was cut off leaves is neither a release nor damage. */
const UNFINISHED: Judged = {
  verdict: 'unknown',
  problem: 'An install into this slot has begun and not ended. The next osctl update writes it.',
};

type Ports = Pick<AgentPorts, 'files' | 'targetOf' | 'verifyImage' | 'clock' | 'log' | 'state'>;

/** How far it is. */
export interface SlotProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** A bad block with its place in the partition. */
export interface PlacedBadBlock extends BadBlockAt {
  readonly offsetBytes: number;
}

/** The end of a verification. */
export interface SlotReport {
  readonly partition: SlotPartition;
  readonly verdict: 'intact' | 'damaged' | 'empty' | 'unknown';
  readonly problem: string;
  readonly elapsedMs: number;
  /** Absent when nothing was verified. */
  readonly verified?: {
    readonly source: RootSource;
    readonly table: VerityTable;
    readonly rootHashExpected: string;
    readonly rootHashFound: string;
    readonly findings: ImageFindings;
    readonly bad: readonly PlacedBadBlock[];
  };
}

/** One step of {@link SlotVerifier.verify}. */
export type SlotStep =
  | { readonly kind: 'progress'; readonly progress: SlotProgress }
  | { readonly kind: 'report'; readonly report: SlotReport };

type Judged = Omit<SlotReport, 'partition' | 'elapsedMs'>;
type OnProgress = (progress: SlotProgress) => void;

/** Verifies slots of this node. */
export class SlotVerifier {
  readonly #ports: Ports;
  readonly #update: () => UpdateStatus;
  #isBusy = false;

  /** @param update how the present update is going */
  constructor(ports: Ports, update: () => UpdateStatus) {
    this.#ports = ports;
    this.#update = update;
  }

  /**
   * Progress while it runs, the report last. Ends early, with the process, when `signal` is aborted or the caller stops.
   *
   * @throws KeelError E_VERIFY_RUNNING, E_SLOT_UNKNOWN, E_UPDATE_RUNNING while an update writes the slot
   */
  async *verify(wanted: SlotWanted, signal: AbortSignal): AsyncGenerator<SlotStep> {
    if (this.#isBusy) {
      throw new KeelError(
        'E_VERIFY_RUNNING',
        `Cannot verify slot ${wanted}: another verification is running`,
      );
    }
    this.#isBusy = true;
    const stop = new AbortController();
    const running = AbortSignal.any([signal, stop.signal]);
    let latest: SlotProgress | undefined;
    const work = this.#report(wanted, running, (progress) => {
      latest = progress;
    });
    // Whoever asked may be gone before it is awaited.
    work.catch(() => undefined);
    try {
      for (let sent: SlotProgress | undefined; ; ) {
        const report = await Promise.race([work, sleep(PROGRESS_MS, undefined, { signal })]);
        if (report !== undefined) {
          yield { kind: 'report', report };
          return;
        }
        if (latest !== undefined && latest !== sent) {
          sent = latest;
          yield { kind: 'progress', progress: sent };
        }
      }
    } finally {
      stop.abort();
      // The next one may begin when this one's process has ended.
      await work.catch(() => undefined);
      this.#isBusy = false;
    }
  }

  async #report(
    wanted: SlotWanted,
    signal: AbortSignal,
    onProgress: OnProgress,
  ): Promise<SlotReport> {
    const startedMs = this.#ports.clock.monotonicMs();
    const partition = await findSlot(this.#ports, wanted);
    this.#demandUnwritten(partition);
    const judged = await this.#judge(partition, signal, onProgress).catch((cause: unknown) => {
      if (errnoOf(cause) !== 'EIO') throw cause;
      const problem = `The device ${partition.device} cannot be read in full (EIO).`;
      return { verdict: 'damaged', problem } as const;
    });
    // An update that has begun meanwhile has changed what was read.
    this.#demandUnwritten(partition);
    return { partition, ...judged, elapsedMs: this.#ports.clock.monotonicMs() - startedMs };
  }

  #demandUnwritten({ slot }: SlotPartition): void {
    const update = this.#update();
    if (writtenSlot(update) !== slot) return;
    const reason = `update ${update.id} is writing it`;
    throw new KeelError('E_UPDATE_RUNNING', `Cannot verify slot ${slot}: ${reason}`);
  }

  /** True when an install has begun to write the slot, and no kernel image says that one has ended. */
  async #isUnfinished(partition: SlotPartition, known: KnownRoot | undefined): Promise<boolean> {
    if (partition.isRunning || resumeRecord(this.#ports)?.slot !== partition.slot) return false;
    if (known?.source !== 'boot-entry') return true;
    return known.table.rootHash === (await runningRoot(this.#ports))?.table.rootHash;
  }

  async #judge(
    partition: SlotPartition,
    signal: AbortSignal,
    onProgress: OnProgress,
  ): Promise<Judged> {
    const known = await this.#rootOf(partition);
    if (await this.#isUnfinished(partition, known)) return UNFINISHED;
    if (known !== undefined) return this.#verifyKnown(partition, known, { signal, onProgress });
    const first = await this.#block(partition, 0);
    const dataBytes = squashfsBytes(first);
    if (dataBytes !== undefined) {
      return this.#verifyUnknown(partition, dataBytes, { signal, onProgress });
    }
    if (first.every((byte) => byte === 0)) {
      return { verdict: 'empty', problem: 'The slot holds nothing.' };
    }
    const problem = 'The slot holds no SquashFS, and no boot entry says what it must hold.';
    return { verdict: 'unknown', problem };
  }

  /** The root that the slot must hold: what runs from it, or is named by the GUID, or has its hash tree here. */
  async #rootOf(partition: SlotPartition): Promise<KnownRoot | undefined> {
    const own = await runningRoot(this.#ports);
    if (partition.isRunning) return own;
    const entries = await bootEntryRoots(this.#ports);
    const known = own === undefined ? entries : [...entries, own];
    const named = rootOfGuid(partition.guid, known);
    if (named !== undefined) return named;
    for (const root of known) {
      const fits = fitsIn(root.table, partition);
      if (fits && isTopOf(root, await this.#top(partition, root.table))) return root;
    }
    return undefined;
  }

  async #verifyKnown(
    partition: SlotPartition,
    { table, source }: KnownRoot,
    how: { readonly signal: AbortSignal; readonly onProgress: OnProgress },
  ): Promise<Judged> {
    if (!fitsIn(table, partition)) {
      return {
        verdict: 'damaged',
        problem: `The root takes ${bytesInAll(table)} bytes, the partition ${partition.device} has ${partition.sizeBytes}.`,
      };
    }
    const totalBytes = workBytes(table);
    const findings = await this.#verify(partition, table, {
      signal: how.signal,
      withFileSystem: true,
      onProgress: (doneBytes) => how.onProgress({ doneBytes, totalBytes }),
    });
    const { rootHash, salt } = table;
    const rootHashFound = rootHashOver(await this.#top(partition, table), salt);
    return {
      ...judgeSlot({ findings, rootHash, guid: partition.guid }),
      verified: {
        source,
        table,
        findings,
        rootHashFound,
        rootHashExpected: rootHash,
        bad: placed(table, findings.bad),
      },
    };
  }

  /**
   * A root that nothing names: its salt follows from its contents, so that intact contents have a tree that fits. When
   * they are damaged, so is the salt, and the hash tree cannot tell which block is bad.
   */
  async #verifyUnknown(
    partition: SlotPartition,
    usedBytes: number,
    how: { readonly signal: AbortSignal; readonly onProgress: OnProgress },
  ): Promise<Judged> {
    const blocks = Math.ceil(usedBytes / VERITY_BLOCK_BYTES);
    const place = { device: '', dataBlocks: blocks, hashStartBlock: blocks };
    if (!fitsIn(place, partition)) {
      const problem = `The SquashFS says that it has ${usedBytes} bytes, which the slot has no room for.`;
      return { verdict: 'damaged', problem };
    }
    const dataBytes = blocks * VERITY_BLOCK_BYTES;
    const totalBytes = dataBytes + workBytes(place);
    const unsalted = { ...place, salt: '', rootHash: NO_ROOT_HASH };
    const { sha256 } = await this.#verify(partition, unsalted, {
      signal: how.signal,
      withFileSystem: false,
      onProgress: (doneBytes) => how.onProgress({ doneBytes, totalBytes }),
    });
    const salt = saltOfContents(Buffer.from(sha256, 'hex'));
    const rootHash = rootHashOver(await this.#top(partition, place), salt);
    const table = { ...place, salt, rootHash };
    const all = await this.#verify(partition, table, {
      signal: how.signal,
      withFileSystem: true,
      onProgress: (done) => how.onProgress({ doneBytes: dataBytes + done, totalBytes }),
    });
    const findings = withoutGuesses(all, blocks);
    return {
      ...judgeSlot({ findings, rootHash, guid: partition.guid }),
      verified: {
        source: 'contents',
        table,
        findings,
        bad: placed(table, findings.bad),
        rootHashExpected: rootHashStart(partition.guid),
        rootHashFound: rootHash,
      },
    };
  }

  #verify(
    { device }: SlotPartition,
    table: VerityTable,
    options: Parameters<AgentPorts['verifyImage']>[1],
  ): Promise<ImageFindings> {
    const { dataBlocks, hashStartBlock, salt, rootHash } = table;
    return this.#ports.verifyImage({ device, dataBlocks, hashStartBlock, salt, rootHash }, options);
  }

  #top(partition: SlotPartition, table: Place): Promise<Uint8Array> {
    return this.#block(partition, table.dataBlocks === 1 ? 0 : table.hashStartBlock);
  }

  #block({ device }: SlotPartition, block: number): Promise<Uint8Array> {
    return this.#ports.files.readAt(device, {
      offsetBytes: block * VERITY_BLOCK_BYTES,
      lengthBytes: VERITY_BLOCK_BYTES,
    });
  }
}

function errnoOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

type Place = Pick<VerityTable, 'dataBlocks' | 'hashStartBlock'>;

function fitsIn(table: Place, { sizeBytes }: SlotPartition): boolean {
  return bytesInAll(table) <= sizeBytes;
}

/** What is read in all: the data once for its hashes, the tree, and the data once for the file system in it. */
function workBytes(table: Place): number {
  return 2 * table.dataBlocks * VERITY_BLOCK_BYTES + treeBytes(table);
}

function placed(table: Place, bad: readonly BadBlockAt[]): PlacedBadBlock[] {
  return bad.map((one) => ({ ...one, offsetBytes: placeOf(table, one) }));
}
