/** `keel-image verify`: whether a root file system, or a bundle, is sound. */
import { open } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { checkBundle } from '../shell/check-bundle.ts';
import { checkRoot, type ExpectedHash } from '../shell/check-root.ts';
import { hasFooter } from '../sys/bundle-file.ts';
import { readTrust } from '../sys/key-files.ts';
import { withRoot } from '../sys/root-image.ts';

const EXAMPLES = `
Checks the structure of the root file system and decodes every block of it: what is malformed is refused with a code
(docs/reference/squashfs-verifier.md) and exit code 5. That the bytes are the right ones only a root hash can say: with
--root-hash and --salt (manifest.json has both) every block is checked against the hash tree behind the file system;
damage is told with the files that it is in, exit code 11.

A bundle is checked in full: manifest, every hash, the hash tree, the file system, and that its kernel image starts its root;
with --trust also its signatures and its epoch, as a node does that has this trust file. Each fault has an exit code of its
own (docs/reference/errors.md).

Examples:
  $ keel-image verify build-0.1.0/disk.img
  $ keel-image verify build-0.1.0/root.squashfs -o json | jq .bytes
  $ keel-image verify dist/keelos-0.2.0-x86_64.squashfs --trust trust.json
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
  readonly trust?: string;
}

function expectedHash({ rootHash, salt }: Options): ExpectedHash | undefined {
  return rootHash === undefined ? undefined : { rootHash, salt };
}

/** Whether it is a bundle that is meant; a root with its hash tree is what the other options are for. */
async function isBundle(path: string, { trust, rootHash }: Options): Promise<boolean> {
  if (trust !== undefined || rootHash !== undefined) return trust !== undefined;
  const file = await open(path, 'r');
  return hasFooter(file).finally(() => file.close());
}

async function verifyBundle(path: string, options: Options): Promise<void> {
  const trust = options.trust === undefined ? undefined : await readTrust(options.trust);
  const file = await open(path, 'r');
  const nowMs = Date.now();
  const { tail, signers, root } = await checkBundle(file, { trust, nowMs }).finally(() =>
    file.close(),
  );
  const { manifest, manifestSha256, signatures } = tail;
  if (options.output === 'json') {
    const report = { manifest, manifestSha256, signatures, signers: signers ?? null, root };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  const unasked = `not checked: give --trust (${signatures.length} signatures)`;
  const lines = [
    `ok           ${path}`,
    `version      ${manifest.version} (${manifest.arch}), epoch ${manifest.epoch}`,
    `signed by    ${signers === undefined ? unasked : signers.join(', ')}`,
    `root hash    ${manifest.root.rootHash}`,
    `files        ${root.files} (${root.bytes} bytes in ${root.blocks} blocks)`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** The command. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'Check the root file system in a disk image or SquashFS, or a bundle: every table and block.',
    )
    .argument('<file>', 'disk image, root.squashfs or bundle')
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
    .option('--trust <file>', 'trust file: check the signatures of a bundle')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: Options) => {
      if (await isBundle(file, options)) return verifyBundle(file, options);
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
