/** The roots that this node knows by their verity tables: of the running kernel and of the kernel images that it can start. */
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';
import { parseVerityTable } from '@keelos/proto/verity-table.ts';
import { FatVolume } from '../core/fat-volume.ts';
import { kernelCommandLine } from '../core/kernel-image.ts';
import type { KnownRoot } from '../core/slot-contents.ts';
import type { AgentPorts } from '../ports.ts';
import { attemptAsync } from './attempt.ts';
import { espPartition, trimmedText } from './node-facts.ts';

/** Kernel images that are looked at; a node has three at most. */
const KERNEL_IMAGES_MAX = 16;

/** The root that the running kernel was started with; undefined when its command line names none. */
export async function runningRoot({
  files,
}: Pick<AgentPorts, 'files'>): Promise<KnownRoot | undefined> {
  const table = parseVerityTable(await trimmedText(files, '/proc/cmdline'));
  return table === undefined ? undefined : { table, source: 'command-line' };
}

/** Roots of the kernel images on the EFI system partition. One that cannot be read is logged and left out. */
export async function bootEntryRoots(
  ports: Pick<AgentPorts, 'files' | 'targetOf' | 'log'>,
): Promise<readonly KnownRoot[]> {
  const esp = await espPartition(ports);
  if (esp === undefined) return [];
  const found: KnownRoot[] = [];
  try {
    const volume = await FatVolume.open((offsetBytes, lengthBytes) =>
      ports.files.readAt(`/dev/${esp.name}`, { offsetBytes, lengthBytes }),
    );
    const entries = (await volume.list(ESP_KERNEL_DIR)) ?? [];
    const images = entries.filter(({ name, isDirectory }) => !isDirectory && /\.efi$/i.test(name));
    for (const image of images.slice(0, KERNEL_IMAGES_MAX)) {
      const line = await attemptAsync(ports.log, `kernel image ${image.name}`, () =>
        kernelCommandLine((piece) => volume.readFile(image, piece)),
      );
      const table = parseVerityTable(line ?? '');
      if (table !== undefined) found.push({ table, source: 'boot-entry' });
    }
  } catch (cause) {
    // A damaged EFI system partition is the business of its own health check; verification goes on with what is known.
    ports.log(`kernel images on ${esp.name} not read: ${String(cause)}`);
  }
  return found;
}
