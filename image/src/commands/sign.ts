/** `keel-image sign`: one more signature on a bundle. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { collected } from '../core/collected.ts';
import { addSignatures } from '../shell/make-bundle.ts';

const EXAMPLES = `
The signatures that are there stay. The bundle is replaced in one step, or written to --out.

Examples:
  $ keel-image sign dist/keelos-0.2.0-x86_64.squashfs --key keys/second.key
  $ keel-image sign received.squashfs --key keys/site.key --out signed.squashfs`;

/** The command. */
export function signCommand(): Command {
  return new Command('sign')
    .description('Add a signature to a bundle.')
    .argument('<bundle>', 'file of keel-image bundle')
    .requiredOption('--key <file>', 'private key; may be given more than once', collected)
    .option('--out <file>', 'write the signed bundle here and leave the other as it is')
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', EXAMPLES)
    .action(async (bundle: string, options: { key: string[]; out?: string; json?: boolean }) => {
      const { path, keyIds } = await addSignatures({
        bundle: resolve(bundle),
        keys: options.key,
        out: options.out === undefined ? undefined : resolve(options.out),
      });
      const text =
        options.json === true
          ? JSON.stringify({ path, keyIds }, null, 2)
          : `${path}\nsigned by  ${keyIds.join(', ')}`;
      process.stdout.write(`${text}\n`);
    });
}
