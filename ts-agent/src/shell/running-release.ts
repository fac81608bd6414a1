/** Where the running release lies, for a delta that is applied to it. */
import { kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaSourcePlace } from '@keelos/proto/verifier.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { recordNamed } from '../core/fat-directory.ts';
import { clusterOffset } from '../core/fat-shape.ts';
import { FatVolume } from '../core/fat-volume.ts';
import { runsOf } from '../core/fat-writes.ts';
import type { AgentPorts } from '../ports.ts';
import { runningRoot } from './known-roots.ts';
import { espPartition, rootFacts } from './node-facts.ts';

/** Ports of this module. */
export type RunningReleasePorts = Pick<AgentPorts, 'files' | 'targetOf'>;

/**
 * Devices and places of the running root and of its kernel image.
 *
 * @throws KeelError E_DELTA_SOURCE when the root is not on dm-verity, or the kernel image cannot be found
 */
export async function runningRelease(ports: RunningReleasePorts): Promise<DeltaSourcePlace> {
  const refuse = (reason: string, cause?: unknown): KeelError =>
    new KeelError('E_DELTA_SOURCE', `Cannot apply delta to what runs here: ${reason}`, { cause });
  const known = await runningRoot(ports);
  const root = await rootFacts(ports);
  if (known === undefined || root.target !== 'verity') throw refuse('its root is not on dm-verity');
  const { rootHash, dataBlocks } = known.table;
  const esp = await espPartition(ports);
  if (esp === undefined) throw refuse('there is no EFI system partition');
  const kernelDevice = `/dev/${esp.name}`;
  try {
    const kernelExtents = await extentsOf(ports, kernelDevice, kernelImagePath(rootHash));
    return {
      rootDevice: root.device,
      rootHash,
      dataBytes: dataBlocks * VERITY_BLOCK_BYTES,
      kernelDevice,
      kernelExtents,
    };
  } catch (cause) {
    throw refuse(`its kernel image: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** Where the bytes of a file lie on its partition, in order. @throws RangeError when it is not there, or damaged */
async function extentsOf(
  { files }: Pick<AgentPorts, 'files'>,
  device: string,
  path: string,
): Promise<DeltaSourcePlace['kernelExtents']> {
  const volume = await FatVolume.open((offsetBytes, lengthBytes) =>
    files.readAt(device, { offsetBytes, lengthBytes }),
  );
  const names = path.split('/');
  const name = names.pop() ?? '';
  const folder = await volume.folder(names.join('/'));
  const record = folder === undefined ? undefined : recordNamed(folder.records, name);
  if (record === undefined || record.isDirectory) throw new RangeError(`${path} is not there`);
  const { shape } = volume;
  const runs = runsOf(volume.chain(record.firstCluster), {
    clusterBytes: shape.clusterBytes,
    placeOf: (cluster) => clusterOffset(shape, cluster),
  });
  let left = record.sizeBytes;
  const extents = runs.map((run) => {
    const lengthBytes = Math.min(run.lengthBytes, left);
    left -= lengthBytes;
    return { offsetBytes: run.offsetBytes, lengthBytes };
  });
  if (left > 0) throw new RangeError(`${path} ends before its size`);
  return extents;
}
