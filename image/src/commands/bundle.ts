/** `keel-image bundle`: the bundle of a built image. */
import { resolve } from 'node:path';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { Command } from 'commander';
import { collected } from '../core/collected.ts';
import { makeBundle } from '../shell/make-bundle.ts';

const EXAMPLES = `
A bundle is the root file system with its hash tree, the kernel image, a manifest and signatures in one file, and still a
SquashFS that can be mounted (docs/reference/bundle-format.md). Without --key nobody has signed it yet: keel-image sign.

Examples:
  $ keel-image bundle dist/0.2.0 --key keys/release.key --out dist
  $ keel-image bundle dist/0.2.0 --key keys/one.key --key keys/two.key --out dist --json | jq -r .path`;

const NEVER_AGAIN = `keel-image: this image trusts no key: a node that installs it takes no update ever after
hint: Build it with keel-image build --trust.
`;

/** The command. */
export function bundleCommand(): Command {
  return new Command('bundle')
    .description(
      'Make the bundle that a node installs as an update, from a folder of keel-image build.',
    )
    .argument('<image-dir>', 'folder with root.squashfs, keel.efi and manifest.json')
    .option('--key <file>', 'private key that signs; may be given more than once', collected, [])
    .requiredOption('--out <dir>', 'folder for the bundle')
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', EXAMPLES)
    .action(async (dir: string, options: { key: string[]; out: string; json?: boolean }) => {
      const { path, manifest, keyIds, canBeUpdated } = await makeBundle({
        imageDir: resolve(dir),
        keys: options.key,
        out: resolve(options.out),
      });
      if (!canBeUpdated) process.stderr.write(NEVER_AGAIN);
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ path, keyIds, manifest }, null, 2)}\n`);
        return;
      }
      const lines = [
        `bundle     ${path}`,
        `version    ${manifest.version} (${manifest.arch}), epoch ${manifest.epoch}`,
        `root hash  ${manifest.root.rootHash}`,
        `parts      root ${formatBytes(manifest.root.size)}, kernel ${formatBytes(manifest.uki.size)}`,
        `signed by  ${keyIds.length === 0 ? 'nobody yet' : keyIds.join(', ')}`,
      ];
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}
