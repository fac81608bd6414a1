import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { treeOver } from '@keelos/as-core/verity-tree.ts';
import { pathOf } from '../src/core/verity-path.ts';
import { CHECK_IMAGE_MS, checkImage } from '../src/shell/check-image.ts';
import { createLinuxProcesses } from '../src/sys/processes.ts';
import { blockHasher } from '../src/sys/verity-hash.ts';
import { createFakeMachine, settleWithTime } from './fake-machine.ts';

const SALT = Buffer.alloc(32, 0x5a);

function digestsOf(blocks: Uint8Array): Buffer {
  const digests: Buffer[] = [];
  for (let at = 0; at < blocks.length; at += 4096) {
    const block = blocks.subarray(at, at + 4096);
    digests.push(createHash('sha256').update(SALT).update(block).digest());
  }
  return Buffer.concat(digests);
}

const hasher = (executable: string, ...args: string[]) =>
  blockHasher({
    processes: createLinuxProcesses(),
    program: { executable, argv0: 'keel-verifier', args },
    environment: {},
  });

/** A machine whose root has so many blocks, all different. */
function machineOf(dataBlocks: number) {
  const data = Buffer.alloc(dataBlocks * 4096, 7);
  for (let block = 0; block < dataBlocks; block += 1) data.writeUInt32LE(block + 1, block * 4096);
  const { tree, rootHash } = treeOver(digestsOf(data), digestsOf);
  const device = 'PARTUUID=01234567-89ab-cdef-0123-456789abcdef';
  const machine = createFakeMachine({
    '/sys/block/dm-0/slaves/vda2': '',
    '/proc/cmdline': `dm-mod.create="root,,,ro,0 ${dataBlocks * 8} verity 1 ${device} ${device} 4096 4096 ${dataBlocks} ${dataBlocks} sha256 ${Buffer.from(rootHash).toString('hex')} ${SALT.toString('hex')} 1 restart_on_corruption" root=/dev/dm-0\n`,
  });
  machine.blockDevices.devices.set('/dev/vda2', Buffer.concat([data, tree]));
  return machine;
}

function flip(machine: ReturnType<typeof machineOf>, at: number): void {
  const bytes = machine.blockDevices.devices.get('/dev/vda2');
  bytes?.writeUInt8((bytes[at] ?? 0) ^ 1, at);
}

describe('self-check of the image', () => {
  it('follows the way to the root hash, however high the tree is', async () => {
    for (const blocks of [1, 2, 128, 129, 128 * 128, 128 * 128 + 1]) {
      const machine = machineOf(blocks);
      const report = await checkImage(machine);
      assert.deepEqual(report, { state: 'verified', device: '/dev/vda2', problem: '' });
      assert.deepEqual(machine.log.lines, []);
    }
  });

  it('finds a flipped bit in every block on the way, and says where', async () => {
    const blocks = 128 * 128 + 1;
    for (const at of [0, 4095, blocks * 4096, (blocks + 1) * 4096, (blocks + 3) * 4096]) {
      const machine = machineOf(blocks);
      flip(machine, at);
      const { state, problem } = await checkImage(machine);
      assert.equal(state, 'damaged', `byte ${at}`);
      assert.match(problem, new RegExp(`byte ${Math.floor(at / 4096) * 4096}\\b`));
      assert.match(machine.log.lines.join(), /image: not what was built/);
    }
    const far = machineOf(200);
    flip(far, 150 * 4096);
    assert.equal((await checkImage(far)).state, 'verified', 'it looks at the start only');
  });

  it('says why it could not look, and never fails', async () => {
    const none = createFakeMachine();
    assert.equal((await checkImage(none)).state, 'unknown');
    const untold = machineOf(2);
    untold.files.contents.set('/proc/cmdline', Buffer.from('ro\n'));
    assert.match((await checkImage(untold)).problem, /no verity table/);
    const gone = machineOf(2);
    gone.blockDevices.devices.clear();
    const report = await checkImage(gone);
    assert.deepEqual([report.state, report.device], ['unknown', '/dev/vda2']);
    assert.match(report.problem, /ENOENT/);
    const short = machineOf(2);
    short.blockDevices.devices.set('/dev/vda2', Buffer.alloc(8192));
    assert.equal((await checkImage(short)).state, 'damaged');
  });

  it('gives up on a disk that hangs', async () => {
    const machine = machineOf(2);
    machine.blockDevices.stuck.add('/dev/vda2');
    const report = await settleWithTime(machine, checkImage(machine));
    assert.equal(report.state, 'unknown');
    assert.match(report.problem, new RegExp(`in ${CHECK_IMAGE_MS} ms`));
  });

  it('hashes in a process what node:crypto hashes', async function () {
    this.timeout(60_000);
    const script = new URL('../../ts-agent/test/run-verifier.ts', import.meta.url);
    const hashBlocks = hasher(process.execPath, fileURLToPath(script));
    const blocks = [Buffer.alloc(4096, 1), Buffer.alloc(4096, 2), Buffer.alloc(4096, 3)];
    for (const salt of [Buffer.alloc(0), SALT, Buffer.alloc(256, 9)]) {
      const digests = await hashBlocks(blocks, salt);
      const wanted = blocks.map((block) =>
        createHash('sha256').update(salt).update(block).digest(),
      );
      assert.deepEqual(
        digests.map((one) => Buffer.from(one)),
        wanted,
      );
    }
  });

  it('outlives the process that hashes, which is started twice when a signal ends it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keel-hash-'));
    const starts = join(directory, 'starts');
    const blocks = [Buffer.alloc(4096)];
    for (const [end, problem, count] of [
      ['kill -SEGV $$', /signal SIGSEGV/, 2],
      ['exit 3', /exit 3/, 1],
      [`echo '{"kind":"error","code":"","message":"no way"}'`, /no way/, 1],
    ] as const) {
      rmSync(starts, { force: true });
      const work = hasher('/bin/sh', '-c', `echo >>${starts}; ${end}`)(blocks, SALT);
      await assert.rejects(work, problem);
      assert.equal(readFileSync(starts).length, count);
    }
    rmSync(directory, { recursive: true });
    await assert.rejects(hasher('/none')(blocks, SALT), /cannot start: ENOENT/);
  });

  it('knows the way in a tree of two levels', () => {
    const table = { device: '', dataBlocks: 300, hashStartBlock: 300, rootHash: '', salt: '' };
    assert.deepEqual(
      pathOf(table, 299).map(({ level, offsetBytes, slot }) => [level, offsetBytes / 4096, slot]),
      [
        [0, 299, 43],
        [1, 303, 2],
        [2, 300, 0],
      ],
    );
  });
});
