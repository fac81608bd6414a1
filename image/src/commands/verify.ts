/** `keel-image verify`: whether a root file system is sound. */
import { Command, Option } from 'commander';
import { withRoot } from '../sys/root-image.ts';

const EXAMPLES = `
Checks the structure of the root file system and decodes every block of it: what is malformed is refused with a code
(docs/reference/squashfs-verifier.md) and exit code 5. That the bytes are the right ones is for the hash tree to say.

Examples:
  $ keel-image verify build-0.1.0/disk.img
  $ keel-image verify build-0.1.0/root.squashfs -o json | jq .bytes`;

/** The command. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('Check the root file system in a disk image or SquashFS: every table and block.')
    .argument('<file>', 'disk image or root.squashfs')
    .addOption(
      new Option('-o, --output <format>', 'form of the output')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: { output: string }) => {
      const report = await withRoot(file, (image, { offsetBytes }) => ({
        offsetBytes,
        ...image.verify(),
      }));
      if (options.output === 'json') {
        process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
        return;
      }
      const { files, directories, symlinks, others, bytes, blocks, usedBytes } = report;
      const lines = [
        `ok           ${file}, root at byte ${report.offsetBytes}`,
        `files        ${files} (${bytes} bytes in ${blocks} blocks)`,
        `directories  ${directories}`,
        `links        ${symlinks}`,
        `others       ${others}`,
        `image        ${usedBytes} bytes`,
      ];
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}
