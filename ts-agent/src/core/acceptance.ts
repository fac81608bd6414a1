/**
 * May this release be installed here? What a signed manifest says against what the node is. Pure; signatures are judged
 * before (proto/src/bundle-signature.ts).
 */
import type { BundleManifest, TrustFile } from '@keelos/proto/bundle.ts';
import { judgeFit } from '@keelos/proto/bundle-fit.ts';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { FailedRoot } from '@keelos/proto/update-record.ts';
import {
  parseVerityTable,
  VERITY_BLOCK_BYTES,
  type VerityTable,
} from '@keelos/proto/verity-table.ts';
import type { BootPicture } from './boot-state.ts';

/** Room on the EFI system partition beside the kernel image: two entries, a folder that grows. */
export const ESP_SPARE_BYTES = 65_536;

/** Facts of {@link judgeAcceptance}. */
export interface AcceptanceFacts {
  readonly manifest: BundleManifest;
  readonly trust: Pick<TrustFile, 'epoch'>;
  /** Epoch of what was committed here before. */
  readonly epochFloor: number;
  readonly arch: BundleManifest['arch'];
  readonly slotBytes: number;
  readonly espRoomBytes: number;
  readonly picture: Pick<BootPicture, 'isCounting'> & {
    readonly running: Pick<BootPicture['running'], 'rootHash' | 'version'>;
  };
  readonly failedRoots: readonly FailedRoot[];
  readonly retryFailed: boolean;
}

/**
 * Judges a release whose signatures count. The first rule that it breaks is the error.
 *
 * @throws KeelError E_ARCH_MISMATCH, E_EPOCH_TOO_LOW, E_SLOT_TOO_SMALL, E_RELEASE_RUNNING, E_RELEASE_FAILED_BEFORE,
 *   E_BOOT_COUNTING, E_ESP_FULL
 */
export function judgeAcceptance(facts: AcceptanceFacts): void {
  const { manifest, arch, slotBytes, espRoomBytes, picture } = facts;
  const { version, root, uki } = manifest;
  const refuse = (code: ErrorCode, reason: string) =>
    new KeelError(code, `Cannot install ${version}: ${reason}`);
  judgeFit(manifest, { arch, slotBytes, epoch: Math.max(facts.trust.epoch, facts.epochFloor) });
  if (root.rootHash === picture.running.rootHash) {
    throw refuse('E_RELEASE_RUNNING', `the node runs from this root (${root.rootHash})`);
  }
  const failed = facts.failedRoots.find(({ rootHash }) => rootHash === root.rootHash);
  if (failed !== undefined && !facts.retryFailed) throw refuse(...failedBefore(failed));
  if (picture.isCounting !== true) throw refuse(...notCounting(picture.isCounting));
  if (uki.size + ESP_SPARE_BYTES > espRoomBytes) {
    const room = formatBytes(Math.max(0, espRoomBytes - ESP_SPARE_BYTES));
    throw refuse(
      'E_ESP_FULL',
      `the kernel image has ${formatBytes(uki.size)}, the EFI system partition has room for ${room}`,
    );
  }
}

/** Code and reason for a root that is held against itself. */
export function failedBefore({ atMs, cause }: FailedRoot): [ErrorCode, string] {
  const when = new Date(atMs).toISOString();
  return ['E_RELEASE_FAILED_BEFORE', `its trial failed here at ${when}: ${cause}`];
}

/** Code and reason while the loader has not been seen to count. */
export function notCounting(isCounting: boolean | undefined): [ErrorCode, string] {
  return [
    'E_BOOT_COUNTING',
    isCounting === false
      ? 'the boot loader started the running entry and left its counter as it was'
      : 'whether the boot loader counts tries is not known: it did not start this system, and was not seen to count before',
  ];
}

/**
 * Why a kernel image does not start the root of its bundle; empty when it does.
 *
 * @param commandLine of the image, undefined when it is no unified kernel image
 */
export function kernelImageProblem(
  commandLine: string | undefined,
  { root }: Pick<BundleManifest, 'root'>,
): string {
  if (commandLine === undefined) return 'it is no unified kernel image with a command line';
  const table = parseVerityTable(commandLine);
  return rootTableProblem(table, { root });
}

/** The same for the table that a command line has. */
export function rootTableProblem(
  table: VerityTable | undefined,
  { root }: Pick<BundleManifest, 'root'>,
): string {
  if (table === undefined) return 'its command line opens no root';
  if (table.rootHash !== root.rootHash) return `it starts the root ${table.rootHash}`;
  const isRight =
    table.dataBlocks * VERITY_BLOCK_BYTES === root.dataBytes &&
    table.hashStartBlock === table.dataBlocks &&
    table.salt === root.salt;
  return isRight ? '' : 'its command line has another size or salt of the root than the manifest';
}
