/** `keel-image build`: the disk image of one version and the parts of its bundle. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { ensureTools } from '../../../scripts/lib/apt.mjs';
import { createProgress } from '../../../scripts/lib/progress.mjs';
import type { ImageManifest } from '../core/image-manifest.ts';
import { buildImage } from '../shell/build.ts';
import { BUILD_TOOLS } from '../sys/sources.ts';

const EXAMPLES = `
An image without --trust trusts no key: a node that runs it takes no update.

Examples:
  $ keel-image build --version 0.1.0
  $ keel-image build --version 0.1.0 --out dist/0.1.0 --trust trust.json
  $ keel-image build --version 0.1.0 --json | jq -r .disk`;

interface Options {
  readonly version: string;
  readonly out?: string;
  readonly trust?: string;
  readonly channelTrust?: string;
  readonly json?: boolean;
}

function trustText({ keys, threshold, epoch }: ImageManifest['trust']): string {
  if (keys.length === 0) return 'no key: a node with this image takes no update';
  return `${threshold} of ${keys.join(', ')}; epoch ${epoch}`;
}

/** The command. */
export function buildCommand(): Command {
  return new Command('build')
    .description(
      'Build an image, or find it in the cache: disk, root, kernel image, manifest, SBOM.',
    )
    .requiredOption('--version <version>', 'version of the image, for example 0.1.0')
    .option('--out <dir>', 'copy the results into this folder')
    .option(
      '--trust <file>',
      'trust file with the keys whose updates it takes: keel-image keys trust',
    )
    .option(
      '--channel-trust <file>',
      'trust file with the keys of the channels that it may follow: keel-image keys trust',
    )
    .option('--json', 'one JSON object on stdout at the end')
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      await ensureTools(BUILD_TOOLS);
      const image = await buildImage({
        version: options.version,
        progress: createProgress(),
        ...(options.out === undefined ? {} : { out: resolve(options.out) }),
        ...(options.trust === undefined ? {} : { trust: await readFile(options.trust) }),
        ...(options.channelTrust === undefined
          ? {}
          : { channelTrust: await readFile(options.channelTrust) }),
      });
      const { manifest, built } = image;
      if (options.json === true) {
        const { dir, disk, root, uki, sbom, rootHash } = image;
        const result = { dir, disk, root, uki, sbom, rootHash, built, manifest };
        process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
        return;
      }
      const mib = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
      const lines = [
        `disk       ${image.disk}`,
        `root       ${image.root} (${mib(manifest.parts.root.sizeBytes)})`,
        `kernel     ${image.uki} (${mib(manifest.parts.uki.sizeBytes)})`,
        `root hash  ${image.rootHash}`,
        `trusts     ${trustText(manifest.trust)}`,
        `channels   ${manifest.channelTrust.keys.join(', ') || 'no key: it follows none'}`,
        built ? 'built' : 'unchanged, from the cache',
      ];
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}
