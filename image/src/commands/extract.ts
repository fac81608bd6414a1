/** `keel-image extract`: the files of a root file system, as files. */
import { resolve } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { Command, Option } from 'commander';
import { extractRoot } from '../sys/extract-root.ts';
import { withRoot } from '../sys/root-image.ts';

const EXAMPLES = `
Modes and times are kept, owners and extended attributes are not; devices, fifos and sockets are left out and named on
standard error.

Examples:
  $ keel-image extract build-0.1.0/disk.img --to root
  $ keel-image extract build-0.1.0/root.squashfs /etc/os-release --to os-release
  $ keel-image extract build-0.1.0/root.squashfs /usr/bin --to programs -o json | jq .files`;

/** The command. */
export function extractCommand(): Command {
  return new Command('extract')
    .description('Extract a root file system, or a part of it, from a disk image or SquashFS.')
    .argument('<file>', 'disk image or root.squashfs')
    .argument('[path]', 'what to extract', '/')
    .requiredOption('--to <path>', 'where to write it; must not be there yet')
    .addOption(
      new Option('-o, --output <format>', 'form of the output')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, path: string, options: { to: string; output: string }) => {
      const from = `/${path}`.replace(/\/+/g, '/');
      const result = await withRoot(file, async (image) => {
        if (image.lookup(from) === undefined) {
          throw new KeelError('E_NOT_FOUND', `Cannot extract ${from}: ${file} has no such file`);
        }
        return extractRoot(image, { from, to: resolve(options.to) });
      });
      for (const skipped of result.skipped) {
        process.stderr.write(`keel-image: left out ${skipped}: not a file, directory or link\n`);
      }
      if (options.output === 'json') {
        process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
        return;
      }
      const { files, directories, symlinks, bytes } = result;
      process.stdout.write(
        `${files} files (${bytes} bytes), ${directories} directories, ${symlinks} links in ${options.to}\n`,
      );
    });
}
