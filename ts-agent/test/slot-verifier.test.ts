import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  DiagnosticsService,
  SlotChoice,
  type SlotReport,
  SlotVerdict,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { Slot, SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { slotGuid } from '@keelos/proto/guid.ts';
import { ESP_KERNEL_DIR } from '@keelos/proto/node-paths.ts';
import { FatVolume } from '@keelos/ts-agent/core/fat-volume.ts';
import type { VerifyOptions } from '@keelos/ts-agent/sys/image-verifier.ts';
import type { FakeWorld, TestClient } from './agent-fixture.ts';
import { collect, enrolledNode, failureCode, Openings } from './agent-fixture.ts';
import { EMPTY_GUID, plainVerifier, setDisk, type TestDisk, testRoot } from './slot-disk.ts';

const RUNNING = testRoot(1, 300);
const OTHER = testRoot(2, 200);
const OTHER_GUID = slotGuid(OTHER.rootHash);

/** `bytes` with one bit of byte `at` changed. */
function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8((copy[at] ?? 0) ^ 0x10, at);
  return copy;
}

describe('verification of slots', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  const node = async (disk: Partial<TestDisk>) => {
    const made = await enrolledNode(openings);
    setDisk(made.world, { running: RUNNING, ...disk });
    made.world.verifyImage = plainVerifier(made.world);
    return made;
  };
  const verify = async (client: TestClient, slot: SlotChoice): Promise<SlotReport> => {
    const stream = client.stream(DiagnosticsService, 'verifySlot', { slot });
    const last = (await collect(stream)).at(-1);
    assert.equal(last?.event.case, 'report');
    return last?.event.value as SlotReport;
  };
  const summary = (report: SlotReport) => [
    SlotVerdict[report.verdict],
    report.source,
    ...report.badBlocks.map(({ level, block, files }) => `${level}:${block}:${files.join()}`),
  ];

  it('an intact running slot, by the running command line', async () => {
    const { client } = await node({});
    const report = await verify(client, SlotChoice.UNSPECIFIED);
    assert.deepEqual(summary(report), ['INTACT', 'command-line']);
    assert.deepEqual([report.slot, report.running, report.device], [Slot.A, true, '/dev/vda2']);
    assert.equal(report.rootHashExpected, RUNNING.rootHash);
    assert.equal(report.rootHashFound, RUNNING.rootHash);
    assert.deepEqual([report.dataBytes, report.treeBytes], [300n * 4096n, 4n * 4096n]);
    assert.equal(report.problem, '');
    assert.equal(report.fileSystem?.files, 2n);
  });

  it('a flipped bit anywhere in the running slot is placed', async () => {
    for (const [at, wanted, offset] of [
      [0, '0:0:/file-0', 0],
      [299 * 4096 + 4095, '0:299:/file-299', 299 * 4096],
      // 300 data blocks: one block at level 2, then three at level 1.
      [300 * 4096 + 1, '2:0:/file-0', 300 * 4096],
      [303 * 4096 + 7, '1:2:/file-2', 303 * 4096],
    ] as const) {
      const { client, world } = await node({});
      world.files.files.set('/dev/vda2', flipped(deviceOf(world, '/dev/vda2'), at));
      const report = await verify(client, SlotChoice.A);
      assert.deepEqual(summary(report), ['DAMAGED', 'command-line', wanted]);
      assert.equal(report.badBlocks[0]?.offsetBytes, BigInt(offset));
      assert.match(report.problem, /^1 block differs/);
    }
  });

  it('an empty slot is empty, and something else is said to be something else', async () => {
    const { client } = await node({});
    for (const choice of [SlotChoice.OTHER, SlotChoice.B]) {
      const report = await verify(client, choice);
      assert.deepEqual(summary(report), ['EMPTY', '']);
      assert.deepEqual([report.slot, report.running], [Slot.B, false]);
    }
    const odd = await node({ other: Buffer.from('something') });
    assert.equal((await verify(odd.client, SlotChoice.B)).verdict, SlotVerdict.UNKNOWN);
    const huge = Buffer.from(OTHER.bytes);
    huge.writeBigUInt64LE(2n ** 60n, 40);
    const tooLarge = await node({ other: huge });
    assert.equal((await verify(tooLarge.client, SlotChoice.B)).verdict, SlotVerdict.UNKNOWN);
    huge.writeBigUInt64LE(2n ** 30n, 40);
    const large = await node({ other: huge });
    assert.match((await verify(large.client, SlotChoice.B)).problem, /no room for/);
  });

  it('the other slot by the kernel image that names it, wherever the bit is flipped', async () => {
    const end = OTHER.bytes.length;
    for (const at of [undefined, 0, 3, 41, 4096, 199 * 4096, 200 * 4096, 201 * 4096, end - 1]) {
      const bytes = at === undefined ? OTHER.bytes : flipped(OTHER.bytes, at);
      const bootEntries = [RUNNING, OTHER];
      const { client } = await node({ other: bytes, otherGuid: OTHER_GUID, bootEntries });
      const report = await verify(client, SlotChoice.OTHER);
      assert.equal(report.source, 'boot-entry');
      assert.equal(report.rootHashExpected, OTHER.rootHash);
      if (at === undefined) {
        assert.deepEqual([report.verdict, report.problem], [SlotVerdict.INTACT, '']);
      } else {
        assert.equal(report.verdict, SlotVerdict.DAMAGED);
        const block = Math.floor(at / 4096) * 4096;
        assert.deepEqual(
          report.badBlocks.map(({ offsetBytes }) => offsetBytes),
          [BigInt(block)],
        );
      }
    }
  });

  it('the other slot also when the kernel image before its own ends too early', async () => {
    // Images are listed by name, which begins with the root hash.
    const roots = Array.from({ length: 30 }, (_, seed) => testRoot(100 + seed, 5));
    const before = roots.find(({ rootHash }) => rootHash < OTHER.rootHash);
    assert.ok(before);
    const bootEntries = [before, OTHER];
    const disk = { other: OTHER.bytes, otherGuid: OTHER_GUID, bootEntries };
    const { client, world } = await node(disk);
    const esp = deviceOf(world, '/dev/vda1');
    const volume = await FatVolume.open(async (from, length) => esp.subarray(from, from + length));
    const [first] = (await volume.list(ESP_KERNEL_DIR)) ?? [];
    assert.ok(first);
    assert.ok(first.name.includes(before.rootHash.slice(0, 16)));
    esp.writeUInt32LE(0, volume.shape.tableOffset + first.firstCluster * 4);
    const report = await verify(client, SlotChoice.OTHER);
    assert.deepEqual([report.source, report.verdict], ['boot-entry', SlotVerdict.INTACT]);
    assert.match(world.logged.join('\n'), /kernel image keel-.*a file ends before its size/);
  });

  it('a slot that was emptied although a kernel image names it is damaged, not empty', async () => {
    const { client } = await node({ otherGuid: OTHER_GUID, bootEntries: [OTHER] });
    const report = await verify(client, SlotChoice.OTHER);
    assert.equal(report.verdict, SlotVerdict.DAMAGED);
    assert.equal(report.badBlocks.length, 64);
    assert.ok(report.badBlockCount >= 200n);
  });

  it('a copy of the running root in the other slot is known by its hash tree', async () => {
    const bytes = flipped(RUNNING.bytes, 5 * 4096);
    const { client } = await node({ other: bytes });
    const report = await verify(client, SlotChoice.OTHER);
    assert.deepEqual(summary(report), ['DAMAGED', 'command-line', '0:5:/file-5']);
    const good = await node({ other: RUNNING.bytes });
    const intact = await verify(good.client, SlotChoice.OTHER);
    assert.deepEqual(summary(intact), ['INTACT', 'command-line']);
    assert.match(intact.problem, new RegExp(`GUID is ${EMPTY_GUID} and does not name`));
  });

  it('a root that nothing names is verified by a salt from its contents', async () => {
    const { client } = await node({ other: OTHER.bytes, otherGuid: OTHER_GUID });
    const report = await verify(client, SlotChoice.OTHER);
    assert.deepEqual(summary(report), ['INTACT', 'contents']);
    assert.equal(report.rootHashExpected, OTHER.rootHash.slice(0, 32));
    assert.equal(report.rootHashFound, OTHER.rootHash);
    assert.equal(report.problem, '');
  });

  it('damage to a root that nothing names is found, and placed when it is in the tree', async () => {
    const data = await node({ other: flipped(OTHER.bytes, 9 * 4096), otherGuid: OTHER_GUID });
    const found = await verify(data.client, SlotChoice.OTHER);
    assert.deepEqual(summary(found), ['DAMAGED', 'contents']);
    assert.equal(found.badBlockCount, 0n);
    assert.match(found.problem, /salt is not known/);
    const tree = await node({
      other: flipped(OTHER.bytes, 202 * 4096),
      otherGuid: OTHER_GUID,
    });
    const placed = await verify(tree.client, SlotChoice.OTHER);
    assert.deepEqual(summary(placed), ['DAMAGED', 'contents', '1:1:/file-1']);
  });

  it('a torn partition table and a damaged ESP do not keep it from verifying', async () => {
    const { client, world } = await node({ other: OTHER.bytes, otherGuid: OTHER_GUID });
    world.files.files.set('/dev/vda', flipped(deviceOf(world, '/dev/vda'), 520));
    world.files.files.set('/dev/vda1', Buffer.alloc(512));
    assert.equal((await verify(client, SlotChoice.OTHER)).problem, '', 'by the backup table');
    assert.match(world.logged.join('\n'), /kernel images on vda1 not read/);
    world.files.files.set('/dev/vda', Buffer.alloc(65_536 * 512));
    const report = await verify(client, SlotChoice.OTHER);
    assert.equal(report.verdict, SlotVerdict.INTACT);
    assert.match(report.problem, /GUID is not known/);
  });

  it('a file system that is not well-formed, and a disk that cannot be read, are damage', async () => {
    const { client, world } = await node({});
    const plain = plainVerifier(world);
    world.verifyImage = async (...asked) => {
      const found = await plain(...asked);
      const bad = { isValid: false, code: 'squashfs-x', problem: 'a directory has a loop' };
      return { ...found, fileSystem: { ...found.fileSystem, ...bad } };
    };
    const report = await verify(client, SlotChoice.A);
    assert.equal(report.verdict, SlotVerdict.DAMAGED);
    assert.match(report.problem, /a directory has a loop/);
    assert.equal(report.fileSystem?.code, 'squashfs-x');
    world.verifyImage = async () =>
      Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
    const unread = await verify(client, SlotChoice.A);
    assert.equal(unread.verdict, SlotVerdict.DAMAGED);
    assert.match(unread.problem, /cannot be read in full/);
  });

  it('one at a time; other calls are answered; a cancelled one ends and frees the place', async () => {
    const { client, world } = await node({});
    const stopped = Promise.withResolvers<void>();
    world.verifyImage = (_place, { signal, onProgress }: VerifyOptions) => {
      onProgress(4096);
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          stopped.resolve();
          reject(signal.reason);
        });
      });
    };
    const first = client.stream(DiagnosticsService, 'verifySlot', { slot: SlotChoice.A });
    first.on('error', () => undefined);
    const [event] = await once(first, 'data');
    assert.deepEqual(
      [event.event.case, event.event.value.doneBytes, event.event.value.totalBytes],
      ['progress', 4096n, BigInt((600 + 4) * 4096)],
    );
    const again = () =>
      failureCode(collect(client.stream(DiagnosticsService, 'verifySlot', { slot: SlotChoice.B })));
    assert.equal(await again(), 'E_VERIFY_RUNNING');
    assert.equal((await client.call(SystemService, 'getVersion', {})).api, 'keel.v1');
    first.cancel();
    await stopped.promise;
    world.verifyImage = plainVerifier(world);
    let verdict: SlotVerdict | undefined;
    while (verdict === undefined) {
      verdict = (await verify(client, SlotChoice.A).catch(() => undefined))?.verdict;
    }
    assert.equal(verdict, SlotVerdict.INTACT);
  });

  it('there are no slots on a root that was not opened from one', async () => {
    const { client, world } = await node({});
    const of = (slot: number) =>
      failureCode(collect(client.stream(DiagnosticsService, 'verifySlot', { slot })));
    assert.equal(await of(9), 'E_INVALID_ARGUMENT');
    world.files.files.delete('/sys/class/block/vda3/uevent');
    assert.equal(await of(SlotChoice.B), 'E_SLOT_UNKNOWN');
    world.files.files.delete('/sys/block/dm-0/slaves/vda2');
    assert.equal(await of(SlotChoice.A), 'E_SLOT_UNKNOWN');
  });
});

function deviceOf(world: FakeWorld, path: string): Buffer {
  const found = world.files.files.get(path);
  assert.ok(found instanceof Buffer);
  return found;
}
