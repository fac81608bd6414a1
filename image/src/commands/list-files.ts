/** `keel-image list-files`: what is in a root file system. */
import { open } from 'node:fs/promises';
import { KeelError } from '@keelos/proto/errors.ts';
import { Command, Option } from 'commander';
import { ROOTFS_MANIFEST } from '../core/rootfs-manifest.data.ts';
import type { ManifestEntry } from '../core/rootfs-manifest.ts';
import { findRoot } from '../sys/image-file.ts';
import { listSquashfs } from '../sys/squashfs.ts';

const EXAMPLES = `
Without a file it lists what the manifest says that an image holds.

Examples:
  $ keel-image list-files
  $ keel-image list-files dist/0.1.0/disk.img
  $ keel-image list-files dist/0.1.0/root.squashfs -o json | jq -r '.files[].path'`;

interface ListedFile {
  readonly mode: string;
  readonly path: string;
  readonly sizeBytes: number | null;
  readonly target: string | null;
  readonly source: string | null;
}

/** One line of the listing; the root itself, without a name, has an empty path. */
const LS_LINE = /^(\S{10}) \d+\/\d+\s+(\d+) \S+ \S+ (|\/.*?)(?: -> (.*))?$/;

function fromListing(line: string): ListedFile {
  const match = LS_LINE.exec(line);
  if (match === null) {
    throw new KeelError('E_IMAGE_INVALID', `Cannot read listing: unexpected line "${line}"`);
  }
  const [, mode = '', size = '', path = '', target = null] = match;
  return { mode, path, sizeBytes: Number(size), target, source: null };
}

function fromManifest(entry: ManifestEntry): ListedFile {
  const { path } = entry;
  const nothing = { path, sizeBytes: null, target: null, source: null };
  if (entry.type === 'directory') return { ...nothing, mode: 'drwxr-xr-x' };
  if (entry.type === 'symlink') return { ...nothing, mode: 'lrwxrwxrwx', target: entry.target };
  const mode = entry.mode === 0o755 ? '-rwxr-xr-x' : '-rw-r--r--';
  return { ...nothing, mode, source: sourceText(entry) };
}

function sourceText({ source }: Extract<ManifestEntry, { type: 'file' }>): string {
  if (source.kind === 'built') return `built: ${source.component}`;
  if (source.kind === 'own') return `own: ${source.path}`;
  return `${source.kind}: ${source.package}`;
}

async function listed(file: string | undefined): Promise<ListedFile[]> {
  if (file === undefined) return ROOTFS_MANIFEST.map(fromManifest);
  const handle = await open(file, 'r');
  try {
    const lines = await listSquashfs(file, { offset: await findRoot(handle) });
    return lines.map(fromListing).filter(({ path }) => path !== '');
  } finally {
    await handle.close();
  }
}

/** The command. */
export function listFilesCommand(): Command {
  return new Command('list-files')
    .description(
      'List the files of a root file system: of the manifest, a disk image, or a SquashFS.',
    )
    .argument('[file]', 'disk image or root.squashfs')
    .addOption(
      new Option('-o, --output <format>', 'form of the output')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, options: { output: string }) => {
      const files = await listed(file);
      if (options.output === 'json') {
        process.stdout.write(`${JSON.stringify({ files }, null, 2)}\n`);
        return;
      }
      for (const { mode, path, sizeBytes, target, source } of files) {
        const size = sizeBytes === null ? '' : String(sizeBytes);
        const tail = `${target === null ? '' : ` -> ${target}`}${source === null ? '' : `  (${source})`}`;
        process.stdout.write(`${mode} ${size.padStart(10)}  ${path}${tail}\n`);
      }
    });
}
