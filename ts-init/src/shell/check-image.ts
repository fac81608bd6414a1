/**
 * Looks at the start of the running root on its partition, past dm-verity: the file system's superblock and its way up
 * the hash tree. dm-verity protects the node; this tells early that a disk begins to lose bytes.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';
import { parseVerityTable, VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { pathOf, pathProblems } from '../core/verity-path.ts';
import { bounded, type Machine, reasonOf } from './machine.ts';

/** Time for a few blocks of a slow disk, and for a process to start on a slow machine, which has a limit of its own. */
export const CHECK_IMAGE_MS = 45_000;
/** The device that dm-mod.create makes for the root. */
const ROOT_SLAVES = '/sys/block/dm-0/slaves';

type ImageReport = BootReport['image'];

/** Never rejects, and takes at most {@link CHECK_IMAGE_MS}. */
export async function checkImage(machine: Machine): Promise<ImageReport> {
  let device = '';
  const unknown = (problem: string): ImageReport => ({ state: 'unknown', device, problem });
  try {
    const [name] = machine.files.list(ROOT_SLAVES);
    if (name === undefined) return unknown('the root is on no device-mapper device');
    device = `/dev/${name}`;
    const report = await bounded(machine.clock, CHECK_IMAGE_MS, look(machine, device));
    const outcome =
      report === 'timeout' ? unknown(`no answer from the disk in ${CHECK_IMAGE_MS} ms`) : report;
    if (outcome.problem !== '') machine.log.error(`image: ${outcome.problem}`);
    return outcome;
  } catch (error) {
    machine.log.error(`image: ${reasonOf(error)}`);
    return unknown(reasonOf(error));
  }
}

async function look(machine: Machine, device: string): Promise<ImageReport> {
  const table = parseVerityTable(machine.files.readText('/proc/cmdline'));
  if (table === undefined) {
    return { state: 'unknown', device, problem: 'the kernel command line names no verity table' };
  }
  const path = pathOf(table, 0);
  const blocks: Buffer[] = [];
  for (const { offsetBytes } of path) {
    const range = { offsetBytes, lengthBytes: VERITY_BLOCK_BYTES };
    const bytes = await machine.blockDevices.readInBackground(device, range);
    if (bytes.length < VERITY_BLOCK_BYTES) {
      return { state: 'damaged', device, problem: `it ends before byte ${offsetBytes + 4096}` };
    }
    blocks.push(bytes);
  }
  const digests = await machine.hashBlocks(blocks, Buffer.from(table.salt, 'hex'));
  const found = blocks.map((bytes, index) => ({ bytes, digest: digests[index] ?? bytes }));
  const bad = pathProblems(path, found, table.rootHash);
  if (bad.length === 0) return { state: 'verified', device, problem: '' };
  const places = bad.map(({ offsetBytes }) => `byte ${offsetBytes}`).join(', ');
  return { state: 'damaged', device, problem: `not what was built at ${places}` };
}
