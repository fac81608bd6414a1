/** `keel-image verify`: whether a root file system is sound. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { checkRoot, type ExpectedHash } from '../shell/check-root.ts';
import { withRoot } from '../sys/root-image.ts';

const EXAMPLES = `
Checks the structure of the root file system and decodes every block of it: what is malformed is refused with a code
(docs/reference/squashfs-verifier.md) and exit code 5. That the bytes are the right ones only a root hash can say: with
--root-hash and --salt (manifest.json has both) every block is checked against the hash tree behind the file system;
damage is told with the files that it is in, exit code 11.

Examples:
  $ keel-image verify build-0.1.0/disk.img
  $ keel-image verify build-0.1.0/root.squashfs -o json | jq .bytes
  $ keel-image verify build-0.1.0/disk.img --root-hash "$(jq -r .rootHash build-0.1.0/manifest.json)" \\
      --salt "$(jq -r .salt build-0.1.0/manifest.json)"`;

const ROOT_HASH = /^[0-9a-f]{64}$/i;
const SALT = /^([0-9a-f]{2}){0,256}$/i;

function matching(pattern: RegExp, what: string): (text: string) => string {
  return (text) => {
    if (!pattern.test(text)) throw new InvalidArgumentError(`It has ${what}.`);
    return text;
  };
}

interface Options {
  readonly output: string;
  readonly rootHash?: string;
  readonly salt: string;
}

function expectedHash({ rootHash, salt }: Options): ExpectedHash | undefined {
  return rootHash === undefined ? undefined : { rootHash, salt };
}

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
    .option(
      '--root-hash <hex>',
      'check the bytes against this root hash',
      matching(ROOT_HASH, '64 hexadecimal digits'),
    )
    .option(
      '--salt <hex>',
      'salt of the hash tree',
      matching(SALT, 'at most 512 hexadecimal digits'),
      '',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: Options) => {
      const expected = expectedHash(options);
      const report = await withRoot(file, async (image, source) => ({
        offsetBytes: source.offsetBytes,
        bytesChecked: expected !== undefined,
        ...(await checkRoot(image, { ...source, expected })),
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
        `image        ${usedBytes} bytes${report.bytesChecked ? ', as the root hash says' : ''}`,
      ];
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}
