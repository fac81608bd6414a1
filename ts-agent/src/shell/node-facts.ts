/** Facts of the machine that more than one service reports, each read when it is asked for. */
import { TRUST_BYTES_MAX } from '@keelos/proto/bundle.ts';
import type { BootReport } from '@keelos/proto/init-control.ts';
import { NODE_PATHS, PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import { parseBootReport } from '../core/boot-report.ts';
import type { RootFacts } from '../core/health-checks.ts';
import type { MountLine } from '../core/proc-text.ts';
import { parseMountinfo, parseOsRelease, parseUevent, rootHashOf } from '../core/proc-text.ts';
import type { AgentPorts } from '../ports.ts';

/** Port that the facts come from. */
export type Files = AgentPorts['files'];

/** Text of a file without white space around it; empty when it is not there. */
export async function trimmedText(files: Files, path: string): Promise<string> {
  return ((await files.readText(path)) ?? '').trim();
}

/** What PID 1 learned during boot, and since. */
export async function bootReport(files: Files): Promise<BootReport> {
  return parseBootReport(await files.readText(NODE_PATHS.bootReport));
}

/** Values of /etc/os-release. */
export async function osRelease(files: Files): Promise<ReadonlyMap<string, string>> {
  return parseOsRelease((await files.readText(NODE_PATHS.osRelease)) ?? '');
}

/** Host name in use. */
export const hostname = (files: Files) => trimmedText(files, '/proc/sys/kernel/hostname');

/** Machine id, 32 hexadecimal digits. */
export const machineId = (files: Files) => trimmedText(files, '/etc/machine-id');

/** Id of this boot. */
export const bootId = (files: Files) => trimmedText(files, '/proc/sys/kernel/random/boot_id');

/** Bytes of a trust file of the running image, one more than it may have at most; undefined when it has none. */
export async function trustBytes(files: Files, path: string): Promise<Uint8Array | undefined> {
  if (!(await files.exists(path))) return undefined;
  return files.readAt(path, { offsetBytes: 0, lengthBytes: TRUST_BYTES_MAX + 1 });
}

/** What the kernel calls the device that it mounted as root itself; there is no such file. */
const KERNEL_ROOT = '/dev/root';

/** Mounts of PID 1's mount namespace; the source of the root is the device that it stands on. */
export async function mounts(files: Files): Promise<readonly MountLine[]> {
  const lines = parseMountinfo((await files.readText('/proc/1/mountinfo')) ?? '');
  return Promise.all(
    lines.map(async (line) => {
      if (line.source !== KERNEL_ROOT) return line;
      const name = await blockName(files, line.device);
      return name === '' ? line : { ...line, source: `/dev/${name}` };
    }),
  );
}

/** Root hash that the running system was started with. */
export async function rootHash(files: Files): Promise<string> {
  return rootHashOf(await trimmedText(files, '/proc/cmdline'));
}

/** Kernel's name of the block device "major:minor", for example "dm-0"; empty when there is none. */
async function blockName(files: Files, device: string): Promise<string> {
  return ((await files.linkTarget(`/sys/dev/block/${device}`)) ?? '').split('/').at(-1) ?? '';
}

/** The root file system and what it stands on. */
export async function rootFacts(
  ports: Pick<AgentPorts, 'files' | 'targetOf'>,
): Promise<RootFacts & { readonly name: string }> {
  const root = (await mounts(ports.files)).findLast(({ mountPoint }) => mountPoint === '/');
  if (root === undefined) {
    return { name: '', type: '', device: '', target: '', isReadOnly: false };
  }
  const [major = 0, minor = 0] = root.device.split(':').map(Number);
  const name = await blockName(ports.files, root.device);
  return {
    name,
    type: root.type,
    device: root.source,
    target: name.startsWith('dm-') ? await ports.targetOf({ major, minor }) : '',
    isReadOnly: root.superOptions.includes('ro') || root.options.includes('ro'),
  };
}

/** A partition. */
export interface Partition {
  /** For example "vda2". */
  readonly name: string;
  readonly disk: string;
  readonly number: number;
  readonly label: string;
}

/** Every partition of every disk. */
export async function partitions(files: Files): Promise<readonly Partition[]> {
  const found: Partition[] = [];
  for (const name of await files.list('/sys/class/block')) {
    const uevent = parseUevent((await files.readText(`/sys/class/block/${name}/uevent`)) ?? '');
    if (uevent.get('DEVTYPE') !== 'partition') continue;
    const link = (await files.linkTarget(`/sys/class/block/${name}`)) ?? '';
    found.push({
      name,
      disk: link.split('/').at(-2) ?? '',
      number: Number(uevent.get('PARTN')),
      label: uevent.get('PARTNAME') ?? '',
    });
  }
  return found;
}

/** Partition that the running root was opened from; undefined when the root is no device-mapper device. */
export async function rootPartition(
  ports: Pick<AgentPorts, 'files' | 'targetOf'>,
  all: readonly Partition[],
): Promise<Partition | undefined> {
  const root = (await mounts(ports.files)).findLast(({ mountPoint }) => mountPoint === '/');
  const name = root === undefined ? '' : await blockName(ports.files, root.device);
  if (name === '') return undefined;
  const below = await ports.files.list(`/sys/block/${name}/slaves`);
  return all.find((partition) => below.includes(partition.name));
}

/** Number of the EFI system partition on a KeelOS disk. */
const ESP_NUMBER = 1;
const OWN_NAMES: readonly string[] = Object.values(PARTITION_NAMES);

/** The EFI system partition of the disk that the node runs from. */
export async function espPartition(
  ports: Pick<AgentPorts, 'files' | 'targetOf'>,
): Promise<Partition | undefined> {
  const all = await partitions(ports.files);
  const root =
    (await rootPartition(ports, all)) ?? all.find(({ label }) => OWN_NAMES.includes(label));
  return all.find(({ disk, number }) => disk === root?.disk && number === ESP_NUMBER);
}
