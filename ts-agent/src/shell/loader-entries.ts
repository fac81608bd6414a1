/** Reads what the boot loader would find on the EFI system partition: entries, and the kernel images that they start. */
import { ENTRIES_DIR, parseEntryText } from '@keelos/proto/boot-entry.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';
import { parseVerityTable } from '@keelos/proto/verity-table.ts';
import {
  entryNameOf,
  isEntryName,
  isKernelImageName,
  isUnarmedName,
  type PictureEntry,
} from '../core/boot-state.ts';
import { type ImagePiece, kernelCommandLine } from '../core/kernel-image.ts';
import type { Esp } from './esp.ts';

/** Largest entry file that is read. */
const ENTRY_BYTES_MAX = 4096;
/** Entries that are looked at, the newest. */
const ENTRIES_MAX = 64;

/** What is there, in no special order. */
export interface LoaderEntries {
  readonly entries: readonly PictureEntry[];
  readonly unarmed: readonly string[];
  readonly kernelImages: readonly string[];
}

/** Reads all of it. @throws KeelError E_ESP_DAMAGED when a directory cannot be read */
export async function readEntries(esp: Esp): Promise<LoaderEntries> {
  const images = ((await esp.list(ESP_KERNEL_DIR)) ?? [])
    .filter(({ name, isDirectory }) => !isDirectory && isKernelImageName(name))
    .map(({ name }) => `${ESP_KERNEL_DIR}/${name}`);
  const names = ((await esp.list(ENTRIES_DIR)) ?? [])
    .filter(({ isDirectory }) => !isDirectory)
    .map(({ name }) => name);
  const entries: PictureEntry[] = [];
  for (const fileName of newestFirst(names.filter(isEntryName)).slice(0, ENTRIES_MAX)) {
    entries.push(await readEntry(esp, fileName));
  }
  return { entries, unarmed: names.filter(isUnarmedName), kernelImages: images };
}

function newestFirst(fileNames: readonly string[]): string[] {
  return fileNames.toSorted((a, b) => entryNameOf(b).sequence - entryNameOf(a).sequence);
}

/** Reads an entry and what its kernel image says. What is damaged there says nothing, and does not hide the others. */
async function readEntry(esp: Esp, fileName: string): Promise<PictureEntry> {
  const text = await unlessDamaged(esp.read(`${ENTRIES_DIR}/${fileName}`, ENTRY_BYTES_MAX));
  const parsed = parseEntryText(text?.toString('utf8') ?? '') ?? { version: '', uki: '' };
  let isImageThere = false;
  const read = async (piece: ImagePiece) => {
    const bytes = await unlessDamaged(esp.readRange(parsed.uki, piece), Buffer.alloc(0));
    isImageThere ||= bytes !== undefined;
    return bytes;
  };
  const line = parsed.uki === '' ? undefined : await kernelCommandLine(read);
  const hash = parseVerityTable(line ?? '')?.rootHash;
  return {
    fileName,
    name: entryNameOf(fileName),
    ...parsed,
    isImageThere,
    ...(hash === undefined ? {} : { rootHash: hash }),
  };
}

async function unlessDamaged(
  reading: Promise<Buffer | undefined>,
  instead?: Buffer,
): Promise<Buffer | undefined> {
  try {
    return await reading;
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    return instead;
  }
}
