/** A bundle of the built image as other people's tools see it, and every command of keel-image that makes or changes one. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { SIGNATURE_CONTEXT, TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import { judgeSignatures } from '@keelos/proto/bundle-signature.ts';
import { VERIFIER_NAME } from '@keelos/proto/verifier.ts';
import { readBytes, tool } from '@keelos/tests/disk.ts';
import { type Ended, runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { bundleReader } from '@keelos/ts-agent/sys/bundle-reader.ts';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';
import { testKeys } from '../../scripts/lib/test-keys.mjs';

const TIMEOUT_MS = 300_000;

interface Verified {
  readonly manifest: BundleManifest;
  readonly signatures: readonly { readonly keyId: string; readonly signature: string }[];
  readonly signers: readonly string[] | null;
}

describe('a bundle of the built image', function () {
  this.timeout(TIMEOUT_MS);

  let dir: string;
  let imageDir: string;
  let bundle: string;
  let manifest: BundleManifest;

  const run = (...args: string[]): Promise<Ended> =>
    runProgram(process.execPath, [join(CHECKOUT, 'image/src/main.ts'), ...args], { cwd: dir });
  async function must(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await run(...args);
    assert.equal(exitCode, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  }
  async function refused(exitCode: number, ...args: string[]): Promise<string> {
    const ended = await run(...args);
    assert.equal(ended.exitCode, exitCode, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return ended.stderr;
  }

  before(async () => {
    await mkdir(join(CHECKOUT, '.vm'), { recursive: true });
    dir = await mkdtemp(join(CHECKOUT, '.vm', 'bundle-'));
    imageDir = dirname((await findBuiltNode()).root);
    const { keyFile } = await testKeys();
    const made = await must('bundle', imageDir, '--key', keyFile, '--out', 'dist', '--json');
    ({ path: bundle, manifest } = JSON.parse(made));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('has its parts, byte for byte, where its manifest says', async () => {
    const { root, uki } = manifest;
    for (const [part, name] of [
      [root, 'root.squashfs'],
      [uki, 'keel.efi'],
    ] as const) {
      const bytes = await readBytes(bundle, part.offset, part.size);
      assert.ok(bytes.equals(await readFile(join(imageDir, name))), name);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), part.sha256);
    }
    assert.match(bundle, /\/keelos-[\w.-]+-x86_64\.squashfs$/);
  });

  it('unsquashfs lists it as it lists the root alone', async () => {
    const listed = await tool('unsquashfs', '-ll', bundle);
    assert.equal(listed, await tool('unsquashfs', '-ll', join(imageDir, 'root.squashfs')));
    assert.match(listed, /etc\/keel\/trust\.json/);
  });

  it('veritysetup verifies it with the numbers of its manifest, and not with another root hash', async () => {
    const { dataBytes, salt, rootHash } = manifest.root;
    const verify = (hash: string) =>
      tool(
        ...(['veritysetup', 'verify', '--no-superblock', '--hash=sha256'] as const),
        ...['--data-block-size=4096', '--hash-block-size=4096'],
        ...[`--data-blocks=${dataBytes / 4096}`, `--salt=${salt}`, `--hash-offset=${dataBytes}`],
        ...[bundle, bundle, hash],
      );
    await verify(rootHash);
    await assert.rejects(verify(rootHash.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))));
  });

  it('openssl verifies its signature over the context and the manifest, and not over other bytes', async () => {
    const { signatures } = JSON.parse(await must('inspect', bundle, '-o', 'json')) as Verified;
    const [first] = signatures;
    assert.ok(first !== undefined);
    const { keyFile } = await testKeys();
    await tool('openssl', 'pkey', '-in', keyFile, '-pubout', '-out', join(dir, 'public.pem'));
    await writeFile(join(dir, 'signature'), Buffer.from(first.signature, 'hex'));
    const start = manifest.uki.offset + manifest.uki.size;
    const { size } = await stat(bundle);
    const footer = await readBytes(bundle, size - 64, 64);
    const bytes = await readBytes(bundle, start, footer.readUInt32LE(32));
    const verify = async (signed: Buffer) => {
      await writeFile(join(dir, 'signed'), signed);
      return tool(
        ...(['openssl', 'pkeyutl', '-verify', '-pubin', '-rawin'] as const),
        ...['-inkey', join(dir, 'public.pem'), '-in', join(dir, 'signed')],
        ...['-sigfile', join(dir, 'signature')],
      );
    };
    assert.match(await verify(Buffer.concat([Buffer.from(SIGNATURE_CONTEXT), bytes])), /Success/);
    await assert.rejects(verify(bytes));
  });

  it('is read by the keel in the image, started as the process that verifies', async () => {
    const root = join(dir, 'extracted');
    await tool('unsquashfs', '-n', '-q', '-d', root, bundle, 'usr/bin/keel', 'etc/keel');
    const program = { executable: join(root, 'usr/bin/keel'), argv0: VERIFIER_NAME, args: [] };
    const { readBundle, readTrust } = bundleReader({ program, log: () => {} });
    const { size } = await stat(bundle);
    const tail = await readBytes(bundle, size - TAIL_BYTES_MAX, TAIL_BYTES_MAX);
    const read = await readBundle(tail, size);
    assert.deepEqual(read.manifest, manifest);
    const trust = await readTrust(await readFile(join(root, 'etc/keel/trust.json')));
    const { signers } = judgeSignatures({ tail: read, trust, nowMs: Date.now() });
    assert.deepEqual(signers, ['test-1']);
    const cut = (await readFile(bundle)).subarray(0, -1);
    await assert.rejects(readBundle(cut.subarray(-TAIL_BYTES_MAX), cut.length), {
      code: 'E_BUNDLE_TRUNCATED',
    });
  });

  it('is the same each time', async () => {
    const { keyFile } = await testKeys();
    const { path } = JSON.parse(
      await must('bundle', imageDir, '--key', keyFile, '--out', 'again', '--json'),
    );
    await tool('cmp', bundle, path);
  });

  it('is verified, inspected, and shown to people', async () => {
    const { trustFile } = await testKeys();
    const found: Verified = JSON.parse(
      await must('verify', bundle, '--trust', trustFile, '-o', 'json'),
    );
    assert.deepEqual(found.manifest, manifest);
    assert.deepEqual(found.signers, ['test-1']);
    const told = await must('verify', bundle);
    assert.match(told, /^signed by +not checked: give --trust \(1 signatures\)$/m);
    assert.match(await must('inspect', bundle), /^kind: bundle$/m);
    assert.match(await must('list-files', bundle), /\/etc\/keel\/trust\.json/);
  });

  it('takes signatures of more keys, until there are enough', async () => {
    const { keyFile, secondKeyFile } = await testKeys();
    const pub = (key: string) => key.replace(/key$/, 'pub');
    const both = ['--key', pub(keyFile), '--key', pub(secondKeyFile)];
    await must('keys', 'trust', ...both, '--threshold', '2', '--epoch', '1', '--out', 'two.json');
    const copy = join(dir, 'signed.squashfs');
    await copyFile(bundle, copy);
    assert.match(await refused(25, 'verify', copy, '--trust', 'two.json'), /2 trusted keys must/);
    await must('sign', copy, '--key', secondKeyFile);
    const found: Verified = JSON.parse(
      await must('verify', copy, '--trust', 'two.json', '-o', 'json'),
    );
    assert.deepEqual(found.signers?.toSorted(), ['test-1', 'test-2']);
    // Signing again changes nothing: Ed25519 has one signature for a key and a text.
    await must('sign', copy, '--key', secondKeyFile, '--out', 'once-more.squashfs');
    await tool('cmp', copy, join(dir, 'once-more.squashfs'));
  });

  it('is refused with an exit code that says why', async () => {
    const { keyFile, secondKeyFile } = await testKeys();
    const pub = secondKeyFile.replace(/key$/, 'pub');
    await must('keys', 'make', '--dir', 'keys', '--name', 'old', '--not-after', '2020-01-01');
    await must('keys', 'make', '--dir', 'keys', '--name', 'other');
    const trust = (name: string, ...args: string[]) =>
      must('keys', 'trust', ...args, '--out', name).then(() => join(dir, name));
    const mine = await trust('mine.json', '--key', keyFile.replace(/key$/, 'pub'));
    const others = await trust('others.json', '--key', pub);
    const old = await trust('old.json', '--key', 'keys/old.pub');
    await must('keys', 'rotate', mine, '--epoch', '7', '--out', 'later.json');
    const byOld = join(dir, 'by-old.squashfs');
    await must('sign', bundle, '--key', 'keys/old.key', '--out', byOld);
    assert.match(await refused(24, 'verify', bundle, '--trust', others), /unknown keys only/);
    assert.match(await refused(26, 'verify', byOld, '--trust', old), /have expired: old/);
    assert.match(await refused(27, 'verify', bundle, '--trust', 'later.json'), /at least 7/);
    const changed = async (name: string, change: (bytes: Buffer) => Buffer) => {
      const path = join(dir, name);
      await writeFile(path, change(await readFile(bundle)));
      return path;
    };
    const flip = (at: number) => (bytes: Buffer) => {
      bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
      return bytes;
    };
    const cases: readonly (readonly [string, number, (bytes: Buffer) => Buffer])[] = [
      ['root', 23, flip(1_000_000)],
      ['tree', 23, flip(manifest.root.dataBytes + 5000)],
      ['kernel', 23, flip(manifest.uki.offset + 1_000_000)],
      ['digit', 24, flip(manifest.uki.offset + manifest.uki.size + 20 + 24)],
      ['brace', 20, flip(manifest.uki.offset + manifest.uki.size)],
      ['cut', 21, (bytes) => bytes.subarray(0, -1)],
      ['longer', 22, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
    ];
    for (const [name, exitCode, change] of cases) {
      await refused(exitCode, 'verify', await changed(name, change), '--trust', mine);
    }
  });

  it('keys are shown, never written over, and private for their owner', async () => {
    const made = await must('keys', 'make', '--dir', 'own', '--name', 'first');
    assert.match(made, /^[0-9a-f]{16} {2}[0-9a-f]{64} {2}first, never expires$/m);
    assert.equal((await stat(join(dir, 'own/first.key'))).mode & 0o777, 0o600);
    assert.match(
      await tool('openssl', 'pkey', '-in', join(dir, 'own/first.key'), '-text', '-noout'),
      /ED25519/,
    );
    await refused(5, 'keys', 'make', '--dir', 'own', '--name', 'first');
    const shown = await must('keys', 'show', 'own/first.pub', 'own/first.key', '--json');
    const [pub, key] = JSON.parse(shown);
    assert.deepEqual(pub, key);
    const { trustFile } = await testKeys();
    assert.equal((await must('keys', 'show', trustFile)).trim().split('\n').length, 2);
    await refused(5, 'keys', 'show', bundle);
    await refused(2, 'keys', 'trust', '--key', 'own/first.pub', '--epoch', 'x', '--out', 'no.json');
    await refused(
      5,
      'keys',
      'trust',
      '--key',
      'own/first.pub',
      '--threshold',
      '2',
      '--out',
      'no.json',
    );
    await refused(5, 'bundle', 'own', '--out', 'none');
    await refused(5, 'sign', bundle, '--key', 'own/first.pub');
  });

  it('is not begun of an image whose files are not those of its manifest', async () => {
    const copy = join(dir, 'image');
    await mkdir(copy);
    for (const name of ['root.squashfs', 'keel.efi', 'manifest.json']) {
      await copyFile(join(imageDir, name), join(copy, name));
    }
    const file = await open(join(copy, 'keel.efi'), 'r+');
    await file.write(Buffer.from([1]), 0, 1, 100_000);
    await file.close();
    assert.match(
      await refused(5, 'bundle', copy, '--out', 'broken'),
      /SHA-256 of its kernel image/,
    );
    await assert.rejects(stat(join(dir, 'broken', `keelos-${manifest.version}-x86_64.squashfs`)));
  });
});
