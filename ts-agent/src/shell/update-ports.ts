/** What an update touches, as narrow as its parts need it: a node gives the real things, a crash test simulated ones. */
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import type { EVIDENCE_STEP } from '@keelos/proto/init-control.ts';
import type { SlotRelease } from '@keelos/proto/update-record.ts';
import type { VerityTable } from '@keelos/proto/verity-table.ts';
import type { BootPicture } from '../core/boot-state.ts';
import type { CheckResult } from '../core/health-history.ts';
import type { AgentPorts } from '../ports.ts';
import type { BlockDevice } from '../sys/block-device.ts';

/** The boot state: shell/boot-state.ts has it for a node. Each change is durable when its promise is fulfilled. */
export interface BootControl {
  read(): Promise<BootPicture>;
  /** Bytes that a kernel image may have once the other slot is disarmed; nothing is changed. */
  roomForKernelImage(): Promise<number>;
  /** Removes the other slot's entries, kernel images that nothing names then, and leftovers. Done twice it is done once. */
  disarmOther(): Promise<void>;
  /** Writes a kernel image and reads it back. @throws KeelError E_ESP_FULL, E_ESP_DAMAGED, E_INTERNAL */
  placeKernelImage(image: {
    readonly rootHash: string;
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly bytes: AsyncIterable<Uint8Array>;
  }): Promise<void>;
  /** The entry `keel-<sequence>+1.conf` for the kernel image of `rootHash`. */
  arm(entry: {
    readonly sequence: number;
    readonly version: string;
    readonly rootHash: string;
  }): Promise<void>;
  /** The entry becomes `keel-<sequence>+9.conf`. */
  commit(sequence: number): Promise<void>;
  /** The running entry gets nine tries; nothing is written when it has them. */
  putBackTries(): Promise<void>;
  /** When nothing but the entry that is given up has a try left, the best other one gets its nine back. */
  reviveOthers(givenUp: number): Promise<void>;
  /** Leaves an entry no try. @throws KeelError E_ESP_FULL, E_ESP_DAMAGED, E_SLOT_UNKNOWN */
  spendTries(sequence: number): Promise<void>;
  /** One that is not there is fine. */
  removeEntry(sequence: number): Promise<void>;
}

/** A slot's partition and the disk that it is on. */
export interface SlotPlace {
  readonly slot: 'a' | 'b';
  /** For example "/dev/vda3". */
  readonly device: string;
  readonly sizeBytes: number;
  /** Lower case; empty when the partition table cannot be read. */
  readonly guid: string;
  /** For example "/dev/vda". */
  readonly disk: string;
  readonly partitionNumber: number;
}

/** Facts of the machine and of the running release. */
export interface UpdateFacts {
  readonly arch: BundleManifest['arch'];
  bootId(): Promise<string>;
  /** True when the routing table has a default gateway. */
  hasGateway(): Promise<boolean>;
  /** Bytes of the running image's trust file; undefined when it has none. */
  trustBytes(): Promise<Uint8Array | undefined>;
  /** @throws KeelError E_SLOT_UNKNOWN */
  otherSlot(): Promise<SlotPlace>;
  /** Verity table of a root whose kernel image is on the EFI system partition. */
  rootTable(rootHash: string): Promise<VerityTable | undefined>;
}

/** Everything that installing touches. */
export interface InstallerPorts
  extends Pick<
    AgentPorts,
    'clock' | 'state' | 'log' | 'random' | 'verifyImage' | 'openDevice' | 'readBundle' | 'readTrust'
  > {
  readonly boot: BootControl;
  readonly facts: UpdateFacts;
  /** Results of every health check. */
  readonly health: () => Promise<readonly CheckResult[]>;
  /** Backup table, flush, primary table, flush. */
  readonly setSlotGuid: (
    disk: BlockDevice,
    slot: { readonly partitionNumber: number; readonly guid: string },
  ) => Promise<void>;
}

/** Everything that judging a trial touches. */
export interface CommitterPorts
  extends Pick<
      InstallerPorts,
      'clock' | 'state' | 'log' | 'random' | 'boot' | 'facts' | 'health' | 'readTrust'
    >,
    Pick<AgentPorts, 'init'> {
  /** Waits a bounded time until PID 1 has told {@link EVIDENCE_STEP}. @throws the signal's reason when it is aborted */
  readonly evidenceKept: (signal: AbortSignal) => Promise<void>;
  /** Empty, or why the API does not answer to another process. */
  readonly apiProblem: () => Promise<string>;
  /**
   * Compares the ladder below the loader with what is committed and runs, and mends it.
   *
   * @returns what was found damaged, a sentence each
   */
  readonly mendLadder: (committed: SlotRelease) => Promise<readonly string[]>;
  /** Waits; ends early, with the signal's reason, when it is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}
