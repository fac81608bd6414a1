/**
 * A node that reads its slots from the disk, and finds each flipped bit.
 */
import assert from 'node:assert/strict';
import { PARTITION, partition, readBytes, writeBytes } from '@keelos/tests/disk.ts';
import { fillSecondSlot, type SecondSlot } from '@keelos/tests/second-slot.ts';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

const VERIFY_TIMEOUT_MS = 240_000;
const BLOCK_BYTES = 4096;

interface Report {
  readonly slot: string;
  readonly running: boolean;
  readonly verdict: string;
  readonly problem: string;
  readonly source: string;
  readonly rootHashExpected: string;
  readonly rootHashFound: string;
  readonly dataBytes: number;
  readonly treeBytes: number;
  readonly elapsedSeconds: number;
  readonly badBlockCount: number;
  readonly badBlocks: readonly {
    readonly level: number;
    readonly block: number;
    readonly offsetBytes: number;
    readonly files: readonly string[];
  }[];
  readonly fileSystem: { readonly valid: boolean; readonly files: number } | null;
}

describe('a node that verifies its slots', () => {
  let node: TestNode;
  let other: SecondSlot;

  before(async function () {
    this.timeout(TestNode.bootTimeoutMs);
    node = await TestNode.boot('verify');
    assert.equal((await node.bootstrap()).exitCode, 0);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  const verify = async (exitCode: number, ...args: string[]): Promise<Report> => {
    const ended = await node.osctl('verify', ...args, '--timeout', '3m', '-o', 'json');
    assert.equal(ended.exitCode, exitCode, `${ended.stderr}${ended.stdout}`);
    return JSON.parse(ended.stdout) as Report;
  };

  /** Flips a bit of slot B behind the back of the running node, as a failing disk does it. */
  const flip = async (at: number) => {
    const place = other.offsetBytes + at;
    const [byte = 0] = await readBytes(node.disk, place, 1);
    await writeBytes(node.disk, place, Uint8Array.of(byte ^ 0x04));
  };

  it('places a flipped bit in the running slot, and neither restarts nor reads it', async function () {
    this.timeout(VERIFY_TIMEOUT_MS);
    const { offsetBytes } = await partition(node.disk, PARTITION.slotA);
    const used = Number((await readBytes(node.disk, offsetBytes + 40, 8)).readBigUInt64LE());
    const inSlot = Math.floor(used * 0.9);
    const [byte = 0] = await readBytes(node.disk, offsetBytes + inSlot, 1);
    await writeBytes(node.disk, offsetBytes + inSlot, Uint8Array.of(byte ^ 0x04));
    const report = await verify(11).finally(() =>
      writeBytes(node.disk, offsetBytes + inSlot, Uint8Array.of(byte)),
    );
    assert.equal(report.badBlockCount, 1);
    assert.equal(report.badBlocks[0]?.block, Math.floor(inSlot / BLOCK_BYTES));
    await assertFilesExist(report.badBlocks[0]?.files ?? []);
  });

  it('finds the running slot intact, and answers other calls meanwhile', async function () {
    this.timeout(VERIFY_TIMEOUT_MS);
    const work = verify(0);
    const meanwhile = await node.osctl('version');
    const report = await work;
    assert.equal(meanwhile.exitCode, 0, meanwhile.stderr);
    assert.deepEqual(
      [report.slot, report.running, report.verdict, report.source, report.problem],
      ['a', true, 'intact', 'command-line', ''],
    );
    assert.equal(report.rootHashExpected, node.image.rootHash);
    assert.equal(report.rootHashFound, node.image.rootHash);
    assert.equal(report.badBlockCount, 0);
    assert.equal(report.fileSystem?.valid, true);
    const { files } = await node.osctlJson<{ files: { type: string }[] }>('get', 'image-files');
    assert.equal(report.fileSystem?.files, files.filter(({ type }) => type === 'regular').length);
    process.stdout.write(
      `    ${report.dataBytes + report.treeBytes} bytes verified in ${report.elapsedSeconds} s\n`,
    );
  });

  it('has looked at the start of its image by itself', async function () {
    this.timeout(VERIFY_TIMEOUT_MS);
    const message = await node.until(60_000, async () => {
      const check = (await node.health()).checks.find(({ name }) => name === 'image');
      assert.equal(check?.state, 'healthy', check?.message);
      return /root hash/.test(check?.message ?? '') ? check?.message : undefined;
    });
    assert.match(message, /The start of \/dev\/vda2 leads to the root hash/);
    const { steps } = await node.osctlJson<{ steps: { name: string }[] }>('get', 'boot');
    const names = steps.map(({ name }) => name);
    assert.ok(names.indexOf('image-checked') > names.indexOf('api-ready'), names.join());
  });

  it('says of the empty slot that it is empty', async function () {
    this.timeout(VERIFY_TIMEOUT_MS);
    const report = await verify(0, '--slot', 'other');
    assert.deepEqual([report.slot, report.running, report.verdict], ['b', false, 'empty']);
  });

  it('verifies another root in the other slot by the kernel image that names it', async function () {
    this.timeout(VERIFY_TIMEOUT_MS + TestNode.bootTimeoutMs);
    await node.osctl('shutdown');
    await node.awaitPowerOff();
    other = await fillSecondSlot(node.disk, node.image);
    await flip(100_000);
    await node.start();
    const damaged = await verify(11, '--slot', 'other');
    assert.deepEqual(
      [damaged.slot, damaged.verdict, damaged.source],
      ['b', 'damaged', 'boot-entry'],
    );
    assert.equal(damaged.badBlockCount, 1);
    assert.equal(damaged.badBlocks[0]?.block, Math.floor(100_000 / BLOCK_BYTES));
    await assertFilesExist(damaged.badBlocks[0]?.files ?? []);
    await flip(100_000);
    const intact = await verify(0, '--slot', 'B');
    assert.deepEqual([intact.verdict, intact.problem], ['intact', '']);
    assert.equal(intact.rootHashFound, other.rootHash);
    assert.equal((await verify(0, '--slot', 'running')).verdict, 'intact');
  });

  it('finds and places one flipped bit anywhere in the other slot', async function () {
    this.timeout(8 * VERIFY_TIMEOUT_MS);
    const { dataBytes, treeBytes, usedBytes } = other;
    const places = [
      [0, /^\[superblock\]$/],
      [Math.floor(usedBytes / 2), /^\//],
      [usedBytes - 1, /^\[.*table.*\]$/],
      [dataBytes, /^\[hash tree\]$/],
      [dataBytes + treeBytes - 1, /^\[hash tree\]$/],
    ] as const;
    for (const [at, belongsTo] of places) {
      await flip(at);
      const report = await verify(11, '--slot', 'other');
      await flip(at);
      const [bad, ...more] = report.badBlocks;
      assert.deepEqual(more, [], `byte ${at}`);
      assert.equal(bad?.offsetBytes, Math.floor(at / BLOCK_BYTES) * BLOCK_BYTES);
      assert.equal(bad?.level === 0, at < dataBytes);
      assert.ok(
        bad?.files.some((name) => belongsTo.test(name)),
        `byte ${at}: ${bad?.files}`,
      );
    }
  });

  it('has begun none of these verifications twice', async () => {
    const { exitCode, stdout } = await node.osctl('logs', 'agent');
    assert.equal(exitCode, 0);
    assert.doesNotMatch(stdout, /begun again|ended before its verdict/);
  });

  const assertFilesExist = async (names: readonly string[]) => {
    const { files } = await node.osctlJson<{ files: { path: string }[] }>('get', 'image-files');
    const known = new Set(files.map(({ path }) => path));
    const paths = names.filter((name) => name.startsWith('/'));
    assert.ok(paths.length > 0, `the block belongs to ${names.join()}`);
    for (const path of paths) assert.ok(known.has(path), `${path} is no file of the image`);
  };
});
