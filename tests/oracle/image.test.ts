/**
 * The built image as other people's tools see it, and the same image built in another folder.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BUILD_TIMEOUT_MS, CheckoutCopy } from '@keelos/tests/checkout-copy.ts';
import { PARTITION, partition, readBytes, takePartition, tool } from '@keelos/tests/disk.ts';
import { pathWithout } from '@keelos/tests/path-without.ts';
import { CHECKOUT } from '@keelos/tests/test-node.ts';
import { checkoutVersion, findBuiltNode } from '../../scripts/lib/node-image.mjs';

type Image = Awaited<ReturnType<typeof findBuiltNode>>;

const BLOCK_BYTES = 4096;
/** What once made the root and its hash tree. They only judge now. */
const OTHERS_TOOLS = ['mksquashfs', 'unsquashfs', 'veritysetup'];

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

describe('the built image', () => {
  let image: Image;
  let folder: string;

  before(async function () {
    this.timeout(BUILD_TIMEOUT_MS);
    image = await findBuiltNode();
    await mkdir(join(CHECKOUT, '.vm'), { recursive: true });
    folder = await mkdtemp(join(CHECKOUT, '.vm', 'oracle-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const taken = async (number: number) => {
    const file = join(folder, `partition-${number}`);
    await takePartition(image.disk, number, file);
    return file;
  };

  it('sgdisk finds no problem in the partition table', async () => {
    assert.match(await tool('sgdisk', '--verify', image.disk), /No problems found/);
  });

  it('fsck.vfat finds no problem on the EFI system partition', async () => {
    await tool('fsck.vfat', '-n', await taken(PARTITION.esp));
  });

  it('e2fsck finds no problem on the empty state partition', async () => {
    await tool('e2fsck', '-f', '-n', await taken(PARTITION.state));
  });

  it("veritysetup verifies slot A against the manifest's root hash, and not against another", async function () {
    this.timeout(60_000);
    const file = await taken(PARTITION.slotA);
    const { rootHash, salt, parts } = image.manifest;
    const verify = (hash: string) =>
      tool(
        ...(['veritysetup', 'verify', '--no-superblock', '--hash=sha256'] as const),
        ...[`--data-block-size=${BLOCK_BYTES}`, `--hash-block-size=${BLOCK_BYTES}`],
        ...[`--data-blocks=${parts.root.dataBytes / BLOCK_BYTES}`, `--salt=${salt}`],
        ...[`--hash-offset=${parts.root.dataBytes}`, file, file, hash],
      );
    await verify(rootHash);
    await assert.rejects(verify(rootHash.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))));
  });

  it('slot A has the GUID that the root hash gives it, and holds the root of the manifest', async () => {
    const { guid, offsetBytes } = await partition(image.disk, PARTITION.slotA);
    assert.equal(guid.replaceAll('-', ''), image.rootHash.slice(0, 32));
    const { root } = image.manifest.parts;
    const bytes = await readBytes(image.disk, offsetBytes, root.sizeBytes);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), root.sha256);
  });

  it('unsquashfs reads the root: no setuid file, no device', async () => {
    const listing = await tool('unsquashfs', '-lln', image.root);
    assert.ok(listing.split('\n').length > 10);
    assert.doesNotMatch(listing, /^[bc]/m);
    assert.doesNotMatch(listing, /^-..[sS]|^-.{5}[sS]/m);
  });

  it('the files are what the manifest says', async function () {
    this.timeout(60_000);
    const { parts } = image.manifest;
    assert.equal(await sha256(image.uki), parts.uki.sha256);
    assert.equal(await sha256(image.disk), parts.disk.sha256);
    assert.equal((await stat(image.disk)).size, parts.disk.sizeBytes);
  });

  it('another folder gives the same bytes, and needs neither squashfs-tools nor veritysetup', async function () {
    this.timeout(BUILD_TIMEOUT_MS);
    const copy = await CheckoutCopy.make(folder);
    const out = join(folder, 'again');
    const ended = await copy.build(out, {
      version: await checkoutVersion(),
      env: {
        SOURCE_DATE_EPOCH: String(image.manifest.buildEpochSeconds),
        PATH: await pathWithout(join(folder, 'path'), OTHERS_TOOLS),
      },
    });
    assert.equal(ended.exitCode, 0, ended.stderr);
    for (const name of [
      'disk.img',
      'root.squashfs',
      'keel.efi',
      'manifest.json',
      'sbom.spdx.json',
    ]) {
      assert.equal(await sha256(join(out, name)), await sha256(join(image.dir, name)), name);
    }
  });
});
