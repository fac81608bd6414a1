/** `keel-image list-files`: what is in a root file system. */
import type { SquashfsEntry } from '@keelos/as-core/squashfs.ts';
import { Command, Option } from 'commander';
import { modeText } from '../core/mode-text.ts';
import { ROOTFS_MANIFEST } from '../core/rootfs-manifest.data.ts';
import type { ManifestEntry } from '../core/rootfs-manifest.ts';
import { withRoot } from '../sys/root-image.ts';

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

function fromEntry(entry: SquashfsEntry): ListedFile {
  const { path, type, sizeBytes, target = null } = entry;
  return { mode: modeText(type, entry.mode), path, sizeBytes, target, source: null };
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
  // The root itself has no name.
  return withRoot(file, (image) => Array.from(image.entries(), fromEntry).slice(1));
}

function lineOf({ mode, path, sizeBytes, target, source }: ListedFile): string {
  const size = sizeBytes === null ? '' : String(sizeBytes);
  const tail = `${target === null ? '' : ` -> ${target}`}${source === null ? '' : `  (${source})`}`;
  return `${mode} ${size.padStart(10)}  ${path}${tail}\n`;
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
      process.stdout.write(files.map(lineOf).join(''));
    });
}
