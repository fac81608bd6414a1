/** Reads the end of a bundle and decides whether it is installed. Nothing is written. */
import type { BundleManifest, TrustFile } from '@keelos/proto/bundle.ts';
import { TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { judgeSignatures } from '@keelos/proto/bundle-signature.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { judgeAcceptance, kernelImageProblem } from '../core/acceptance.ts';
import type { BootPicture } from '../core/boot-state.ts';
import { kernelCommandLine } from '../core/kernel-image.ts';
import { isTrialEntry } from '../core/trial.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import { readPiece } from './root-copy.ts';
import type { AcceptedBundle, CourseTarget, UpdateCourse } from './update-course.ts';
import type { InstallerPorts } from './update-ports.ts';
import { epochFloor, failedRoots, trialRecord } from './update-records.ts';

/** What the running image trusts. @throws KeelError E_NO_TRUST when it has no trust file, E_IMAGE_INVALID */
export async function runningTrust(
  ports: Pick<InstallerPorts, 'facts' | 'readTrust'>,
): Promise<TrustFile> {
  const bytes = await ports.facts.trustBytes();
  if (bytes !== undefined) return ports.readTrust(bytes);
  throw new KeelError('E_NO_TRUST', 'Cannot accept bundles: the running image has no trust file');
}

/** Security epoch of the running image; undefined when it has no trust file. @throws KeelError E_IMAGE_INVALID */
export async function runningEpoch(
  ports: Pick<InstallerPorts, 'facts' | 'readTrust'>,
): Promise<number | undefined> {
  const bytes = await ports.facts.trustBytes();
  return bytes === undefined ? undefined : (await ports.readTrust(bytes)).epoch;
}

/** @throws KeelError E_UPDATE_UNSETTLED while a release is armed or on trial, or its end is not written down */
export function demandSettled(ports: Pick<InstallerPorts, 'state' | 'log'>): void {
  const trial = trialRecord(ports);
  if (trial === undefined) return;
  throw new KeelError(
    'E_UPDATE_UNSETTLED',
    `Cannot begin: ${trial.to.version} in slot ${trial.to.slot} is armed or on trial, or the disk has not taken how that ended`,
    { details: { id: trial.id, version: trial.to.version } },
  );
}

/** @throws KeelError E_UPDATE_UNSETTLED while the running release is on trial, whatever records say */
export function demandCommitted({ running }: BootPicture): void {
  if (running.entry === undefined || !isTrialEntry(running.entry.name)) return;
  throw new KeelError(
    'E_UPDATE_UNSETTLED',
    `Cannot begin: the running release ${running.version} is on trial`,
  );
}

/**
 * Checks the bundle of a course in the order in which its bytes may be believed: form, signatures, then what they say.
 * Tells the course its target as soon as the signatures count, so that a refusal after that is in the history.
 *
 * @throws KeelError of the source, E_BUNDLE_…, E_SIGNATURE_…, and as judgeAcceptance
 */
export async function checkBundle(
  ports: InstallerPorts,
  course: UpdateCourse,
  signal: AbortSignal,
): Promise<void> {
  const { source, retryFailed } = course.wish;
  if (source === undefined) throw new TypeError('a course without a source');
  demandSettled(ports);
  const trust = await runningTrust(ports);
  const bundle = await readEnd(ports, source, signal);
  judgeSignatures({ tail: bundle, trust, nowMs: ports.clock.nowMs() });
  const { manifest } = bundle;
  const picture = await ports.boot.read();
  demandCommitted(picture);
  const place = await ports.facts.otherSlot();
  course.target = targetOf(bundle, { running: picture.running, place });
  judgeAcceptance({
    manifest,
    trust,
    picture,
    retryFailed,
    slotBytes: place.sizeBytes,
    arch: ports.facts.arch,
    epochFloor: epochFloor(ports),
    espRoomBytes: await ports.boot.roomForKernelImage(),
    failedRoots: failedRoots(ports),
  });
  // What is made in order has its kernel image looked at where it was placed.
  if (bundle.isInOrder) return;
  const commandLine = await kernelCommandLine(({ offsetBytes, lengthBytes }) => {
    const end = Math.min(offsetBytes + lengthBytes, manifest.uki.size);
    const inside = Math.max(0, end - offsetBytes);
    const range = { offsetBytes: manifest.uki.offset + offsetBytes, lengthBytes: inside };
    return readPiece(source, range, signal);
  });
  demandOwnRoot(kernelImageProblem(commandLine, manifest), manifest);
}

/** @throws KeelError E_BUNDLE_MALFORMED when there is a problem: the kernel image would start another root */
export function demandOwnRoot(problem: string, { version }: BundleManifest): void {
  if (problem === '') return;
  throw new KeelError(
    'E_BUNDLE_MALFORMED',
    `Cannot install ${version}: its kernel image does not start its root: ${problem}`,
  );
}

async function readEnd(
  ports: InstallerPorts,
  source: UpdateSource,
  signal: AbortSignal,
): Promise<AcceptedBundle> {
  const { sizeBytes, end } = await source.open(signal);
  const lengthBytes = Math.min(sizeBytes, TAIL_BYTES_MAX);
  const range = { offsetBytes: sizeBytes - lengthBytes, lengthBytes };
  const tail =
    end === undefined ? await readPiece(source, range, signal) : padded(end, lengthBytes);
  const bundle = await ports.readBundle(tail, sizeBytes, signal);
  const { uki } = bundle.manifest;
  const restBytes = sizeBytes - uki.offset - uki.size;
  return {
    ...bundle,
    rest: tail.subarray(tail.length - restBytes),
    isInOrder: end !== undefined,
  };
}

/** With zeros before it: what stands there is not looked at. */
function padded(end: Uint8Array, lengthBytes: number): Buffer {
  return Buffer.concat([Buffer.alloc(Math.max(0, lengthBytes - end.length)), end]);
}

function targetOf(
  bundle: AcceptedBundle,
  of: Pick<CourseTarget, 'place'> & { readonly running: CourseTarget['from'] },
): CourseTarget {
  const { version, root } = bundle.manifest;
  const { slot, version: fromVersion, rootHash } = of.running;
  const blocks = root.dataBytes / VERITY_BLOCK_BYTES;
  return {
    place: of.place,
    from: { slot, version: fromVersion, rootHash },
    to: { slot: of.place.slot, version, rootHash: root.rootHash },
    table: {
      dataBlocks: blocks,
      hashStartBlock: blocks,
      salt: root.salt,
      rootHash: root.rootHash,
    },
    bundle,
  };
}
