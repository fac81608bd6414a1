/** `keel-image inspect`: what a disk image, root, kernel image, bundle or delta is. */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import { partitionBytes, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { Command, Option } from 'commander';
import { parsePe } from '../core/pe.ts';
import { readUki } from '../core/uki.ts';
import { hasFooter, readTail } from '../sys/bundle-file.ts';
import { hasDeltaFooter, openDelta } from '../sys/delta-on-disk.ts';
import { imageFileKind, readTable } from '../sys/image-file.ts';
import { findRoot, squashfsFacts } from '../sys/root-image.ts';

const EXAMPLES = `
Examples:
  $ keel-image inspect dist/0.1.0/disk.img
  $ keel-image inspect dist/0.1.0/keel.efi
  $ keel-image inspect dist/keelos-0.1.0-x86_64.squashfs
  $ keel-image inspect dist/keelos-0.1.0-0.2.0-x86_64.kdelta
  $ keel-image inspect dist/0.1.0/keel.efi -o json | jq -r .commandLine`;

const EFI_BYTES_MAX = 256 * 1024 * 1024;

async function inspectDisk(file: FileHandle): Promise<Record<string, unknown>> {
  const table = await readTable(file);
  const partitions = [];
  for (const partition of table.partitions) {
    const { number, name, guid, typeGuid, firstLba } = partition;
    const offsetBytes = firstLba * SECTOR_BYTES;
    const sizeBytes = partitionBytes(partition);
    const squashfs = await squashfsFacts(file, { offsetBytes, sizeBytes });
    partitions.push({
      number,
      name,
      typeGuid,
      guid,
      offsetBytes,
      sizeBytes,
      ...(squashfs === undefined ? {} : { squashfs }),
    });
  }
  const diskBytes = table.diskSectors * SECTOR_BYTES;
  return { kind: 'disk', diskGuid: table.diskGuid, diskBytes, partitions };
}

async function inspectEfi(file: FileHandle): Promise<Record<string, unknown>> {
  const { size } = await file.stat();
  if (size > EFI_BYTES_MAX) {
    throw new KeelError('E_IMAGE_INVALID', `Cannot read EFI program: ${size} bytes`);
  }
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, 0);
  const pe = parsePe(bytes);
  const sections = pe.sections.map(({ name, virtualAddress, virtualSize }) => ({
    name,
    virtualAddress,
    virtualSize,
  }));
  if (!pe.sections.some(({ name }) => name === '.linux')) return { kind: 'efi', sections };
  const facts = readUki(bytes);
  const rootHash = /keel\.slot-hash=([0-9a-f]{64})/.exec(facts.commandLine)?.[1];
  return {
    kind: 'kernel-image',
    ...facts,
    ...(rootHash === undefined ? {} : { rootHash, slotGuid: slotGuid(rootHash) }),
    sections,
  };
}

async function inspectBundle(file: FileHandle): Promise<Record<string, unknown>> {
  const { manifest, manifestSha256, signatures } = await readTail(file);
  const { root, uki, ...facts } = manifest;
  const bundleBytes = (await file.stat()).size;
  return { kind: 'bundle', ...facts, bundleBytes, manifestSha256, root, uki, signatures };
}

async function inspectDelta(file: FileHandle): Promise<Record<string, unknown>> {
  const { manifest, signatures } = await openDelta(file);
  const { format: _, ...facts } = manifest;
  const deltaBytes = (await file.stat()).size;
  return { kind: 'delta', deltaBytes, ...facts, signatures };
}

async function inspect(path: string): Promise<Record<string, unknown>> {
  const file = await open(path, 'r');
  try {
    const kind = await imageFileKind(file);
    if (kind === 'disk') return await inspectDisk(file);
    if (kind === 'efi') return await inspectEfi(file);
    if (kind === 'squashfs' && (await hasFooter(file))) return await inspectBundle(file);
    if (kind === 'squashfs') {
      return { kind, ...(await squashfsFacts(file, await findRoot(file))) };
    }
    if (await hasDeltaFooter(file)) return await inspectDelta(file);
    throw new KeelError(
      'E_IMAGE_INVALID',
      `Cannot inspect ${path}: neither a raw disk image, a SquashFS, an EFI program nor a delta`,
    );
  } finally {
    await file.close();
  }
}

/** Facts as indented lines; a list is one line for each thing in it. */
function factLines(value: Record<string, unknown>, indent = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    if (Array.isArray(inner)) {
      return [`${indent}${key}:`, ...inner.map((item) => `${indent}  ${flat(item)}`)];
    }
    const text = typeof inner === 'object' ? flat(inner) : String(inner).trimEnd();
    return text
      .split('\n')
      .map((line, at) => (at === 0 ? `${indent}${key}: ${line}` : `${indent}  ${line}`));
  });
}

function flat(item: unknown): string {
  if (typeof item !== 'object' || item === null) return String(item);
  return Object.entries(item)
    .map(([key, inner]) =>
      typeof inner === 'object' ? `${key}(${flat(inner)})` : `${key}=${inner}`,
    )
    .join(' ');
}

/** The command. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Say what a disk image, root.squashfs, kernel image, bundle or delta is made of.')
    .argument('<file>', 'disk image, root.squashfs, .efi file, bundle or delta')
    .addOption(
      new Option('-o, --output <format>', 'form of the output')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: { output: string }) => {
      const facts = await inspect(path);
      const text =
        options.output === 'json' ? JSON.stringify(facts, null, 2) : factLines(facts).join('\n');
      process.stdout.write(`${text}\n`);
    });
}
