/** `keel-image build`: the disk image of one version and the parts of its bundle. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { ensureTools } from '../../../scripts/lib/apt.mjs';
import { createProgress } from '../../../scripts/lib/progress.mjs';
import { buildImage } from '../shell/build.ts';
import { BUILD_TOOLS } from '../sys/sources.ts';

const EXAMPLES = `
Examples:
  $ keel-image build --version 0.1.0
  $ keel-image build --version 0.1.0 --out dist/0.1.0
  $ keel-image build --version 0.1.0 --json | jq -r .disk`;

/** The command. */
export function buildCommand(): Command {
  return new Command('build')
    .description(
      'Build an image, or find it in the cache: disk, root, kernel image, manifest, SBOM.',
    )
    .requiredOption('--version <version>', 'version of the image, for example 0.1.0')
    .option('--out <dir>', 'copy the results into this folder')
    .option('--json', 'one JSON object on stdout at the end')
    .addHelpText('after', EXAMPLES)
    .action(async (options: { version: string; out?: string; json?: boolean }) => {
      await ensureTools(BUILD_TOOLS);
      const image = await buildImage({
        version: options.version,
        progress: createProgress(),
        ...(options.out === undefined ? {} : { out: resolve(options.out) }),
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
        built ? 'built' : 'unchanged, from the cache',
      ];
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}
