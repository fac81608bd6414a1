/** `keel-image keys`: keys that sign bundles, and trust files that say which of them count. */
import { resolve } from 'node:path';
import type { TrustedKey, TrustFile } from '@keelos/proto/bundle.ts';
import { encodeTrust } from '@keelos/proto/bundle-writer.ts';
import { Command, InvalidArgumentError } from 'commander';
import { collected } from '../core/collected.ts';
import { makeTrust, parseNotAfter, rotateTrust } from '../core/trust.ts';
import { makeKeyFiles, readKeys, readPublicKey, readTrust, writeTrust } from '../sys/key-files.ts';

const MAKE_HELP = `
Writes <name>.key, the private key (PKCS #8 in PEM, mode 0600), and <name>.pub, which goes into trust files. Keep the first
out of repositories and build machines that many may use; an image holds public keys only.

Examples:
  $ keel-image keys make --dir keys --name release
  $ keel-image keys make --dir keys --name release-2027 --not-after 2027-12-31`;

const SHOW_HELP = `
Examples:
  $ keel-image keys show keys/release.pub
  $ keel-image keys show trust.json --json | jq -r '.[].id'`;

const TRUST_HELP = `
The trust file goes into an image with keel-image build --trust. A node takes an update when as many of these keys have
signed it as the threshold says, and when its security epoch is not below the one given here.

Examples:
  $ keel-image keys trust --key keys/release.pub --threshold 1 --epoch 1 --out trust.json
  $ keel-image keys trust --key a.pub --key b.pub --key c.pub --threshold 2 --epoch 1 --out trust.json`;

const ROTATE_HELP = `
The new trust file reaches nodes with the next update: build it with --trust on the new file, and sign its bundle with keys
that the old file trusts. From then on nodes want signatures of the new file's keys.

Examples:
  $ keel-image keys rotate trust.json --add keys/next.pub --out trust-2.json
  $ keel-image keys rotate trust-2.json --remove release --epoch 2 --out trust-3.json`;

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}

function notAfter(text: string): number {
  const seconds = parseNotAfter(text);
  if (seconds === undefined) {
    throw new InvalidArgumentError(
      'It is a date like 2027-12-31, or a time like 2027-12-31T12:00:00Z.',
    );
  }
  return seconds;
}

function lineOf({ id, name, notAfter: end, publicKey }: TrustedKey): string {
  const until = end === 0 ? 'never expires' : `until ${new Date(end * 1000).toISOString()}`;
  return `${id}  ${publicKey}  ${name}, ${until}`;
}

function summary(path: string, { keys, threshold, epoch }: TrustFile): string {
  return [`${path}: ${threshold} of ${keys.length}, epoch ${epoch}`, ...keys.map(lineOf)].join(
    '\n',
  );
}

function makeKeysCommand(): Command {
  return new Command('make')
    .description('Make a key that signs bundles (Ed25519).')
    .requiredOption('--dir <dir>', 'folder for both files; made with mode 0700 when absent')
    .option('--name <name>', 'name of the key and its files', 'release')
    .option('--not-after <date>', 'its signatures count no more after this', notAfter, 0)
    .addHelpText('after', MAKE_HELP)
    .action(async (options: { dir: string; name: string; notAfter: number }) => {
      const made = await makeKeyFiles({ ...options, dir: resolve(options.dir) });
      const { key, privatePath, publicPath } = made;
      process.stdout.write(`${lineOf(key)}\n${privatePath}\n${publicPath}\n`);
    });
}

function showKeysCommand(): Command {
  return new Command('show')
    .description('Show the keys in files: id, public key, name, end.')
    .argument('<file...>', '.pub, .key or trust file')
    .option('--json', 'a JSON list on stdout')
    .addHelpText('after', SHOW_HELP)
    .action(async (files: string[], options: { json?: boolean }) => {
      const keys = (await Promise.all(files.map(readKeys))).flat();
      const text =
        options.json === true ? JSON.stringify(keys, null, 2) : keys.map(lineOf).join('\n');
      process.stdout.write(`${text}\n`);
    });
}

function trustKeysCommand(): Command {
  return new Command('trust')
    .description('Write a trust file: which keys count, and how many must have signed.')
    .requiredOption('--key <file>', '.pub file; may be given more than once', collected)
    .option('--threshold <count>', 'different keys that must have signed', wholeNumber, 1)
    .option('--epoch <number>', 'lowest security epoch that is taken', wholeNumber, 1)
    .requiredOption('--out <file>', 'the trust file')
    .addHelpText('after', TRUST_HELP)
    .action(async (options: { key: string[]; threshold: number; epoch: number; out: string }) => {
      const keys = await Promise.all(options.key.map(readPublicKey));
      await write(options.out, makeTrust({ ...options, keys }));
    });
}

interface RotateOptions {
  readonly add: readonly string[];
  readonly remove: readonly string[];
  readonly threshold?: number;
  readonly epoch?: number;
  readonly out: string;
}

function rotateKeysCommand(): Command {
  return new Command('rotate')
    .description('Write the next trust file: with other keys, another threshold or a higher epoch.')
    .argument('<trust>', 'trust file of the present release')
    .option(
      '--add <file>',
      '.pub file of a key to trust; may be given more than once',
      collected,
      [],
    )
    .option(
      '--remove <key>',
      'id or name of a key to drop; may be given more than once',
      collected,
      [],
    )
    .option('--threshold <count>', 'different keys that must have signed', wholeNumber)
    .option('--epoch <number>', 'lowest security epoch that is taken', wholeNumber)
    .requiredOption('--out <file>', 'the new trust file')
    .addHelpText('after', ROTATE_HELP)
    .action(async (path: string, options: RotateOptions) => {
      const old = await readTrust(path);
      const add = await Promise.all(options.add.map(readPublicKey));
      await write(options.out, rotateTrust(old, { ...options, add }));
      const signers = old.keys.map(({ name, id }) => `${name} (${id})`).join(', ');
      process.stdout.write(
        `The bundle that carries it is signed by ${old.threshold} of: ${signers}\n`,
      );
    });
}

async function write(out: string, trust: TrustFile): Promise<void> {
  await writeTrust(resolve(out), encodeTrust(trust));
  process.stdout.write(`${summary(out, trust)}\n`);
}

/** The command. */
export function keysCommand(): Command {
  return new Command('keys')
    .description('Make and show keys that sign bundles, and the trust files of images.')
    .addCommand(makeKeysCommand())
    .addCommand(showKeysCommand())
    .addCommand(trustKeysCommand())
    .addCommand(rotateKeysCommand());
}
