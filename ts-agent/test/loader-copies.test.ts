/** The two copies of the boot loader: which one is damaged, and how it is written anew. */
import assert from 'node:assert/strict';
import { LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import {
  judgeLoaders,
  type LoaderFacts,
  type LoaderVerdict,
  startedCopy,
} from '@keelos/ts-agent/core/loader-copies.ts';
import { LOADER_IMAGE } from '@keelos/ts-agent/core/loader-variables.ts';
import { BootLadder } from '@keelos/ts-agent/shell/boot-ladder.ts';
import { BootState } from '@keelos/ts-agent/shell/boot-state.ts';
import type { BlockDevice } from '@keelos/ts-agent/sys/block-device.ts';
import { testEsp } from './slot-disk.ts';
import { UpdateWorld } from './update-world.ts';

const GOOD = Buffer.alloc(3_000, 'good');
const ROTTEN = Buffer.alloc(3_000, 'rotten');
const PATHS = [LOADER_PATH, SECOND_LOADER_PATH] as const;
const COMMITTED = { version: '0.1.0', rootHash: 'ab'.repeat(32) };

const damaged = (copy: 0 | 1, sha256: string): LoaderVerdict => ({ kind: 'damaged', copy, sha256 });

/** A node whose partition has these copies; undefined: none. */
function nodeWith(first: Buffer | undefined, second: Buffer | undefined): UpdateWorld {
  const node = new UpdateWorld();
  const files = [first, second].flatMap((data, at) =>
    data === undefined ? [] : [{ path: PATHS[at] ?? '', data }],
  );
  node.world.files.files.set('/dev/vda1', testEsp(files));
  return node;
}

function startedFrom(node: UpdateWorld, path: string): void {
  const data = Buffer.from(`\\${path.replaceAll('/', '\\')}\0`, 'utf16le');
  node.world.variables.variables.set(LOADER_IMAGE, { attributes: 6, data });
}

async function copies(node: UpdateWorld): Promise<(string | undefined)[]> {
  const esp = await node.esp();
  const texts = [];
  for (const path of PATHS) texts.push((await esp.read(path, 4))?.toString('latin1'));
  return texts;
}

describe('the copies of the boot loader', () => {
  // Of the first, of the second, what both were, which one started the system; what is wrong
  const TABLE: readonly [
    LoaderFacts['sha256'],
    LoaderFacts['known'],
    LoaderFacts['started'],
    LoaderVerdict,
  ][] = [
    [['a', 'a'], undefined, undefined, { kind: 'equal', sha256: 'a' }],
    [['b', 'b'], 'a', 0, { kind: 'equal', sha256: 'b' }],
    [['a', 'b'], 'a', undefined, damaged(1, 'a')],
    [['b', 'a'], 'a', undefined, damaged(0, 'a')],
    // It has a flipped bit, and starts all the same.
    [['b', 'a'], 'a', 0, damaged(0, 'a')],
    [['a', 'b'], 'a', 1, damaged(1, 'a')],
    [[undefined, 'a'], 'a', undefined, damaged(0, 'a')],
    [[undefined, 'b'], undefined, 1, damaged(0, 'b')],
    [['b', 'a'], undefined, 1, damaged(0, 'a')],
    [['b', undefined], undefined, 0, damaged(1, 'b')],
    [['b', 'a'], undefined, 0, { kind: 'unknown' }],
    [['b', 'c'], 'a', 0, { kind: 'unknown' }],
    [['b', undefined], 'a', undefined, { kind: 'unknown' }],
    [[undefined, undefined], 'a', undefined, { kind: 'unknown' }],
    [[undefined, undefined], undefined, 1, { kind: 'unknown' }],
  ];
  for (const [sha256, known, started, expected] of TABLE) {
    const told = expected.kind === 'damaged' ? `${expected.kind} ${expected.copy}` : expected.kind;
    it(`${sha256.join(' and ')}, known ${known}, started by ${started}: ${told}`, () => {
      assert.deepEqual(judgeLoaders({ sha256, known, started }), expected);
    });
  }

  it('are told apart as the firmware writes their paths', () => {
    assert.equal(startedCopy('\\EFI\\BOOT\\BOOTX64.EFI'), 0);
    assert.equal(startedCopy('\\efi\\boot\\bootx64.efi'), 0);
    assert.equal(startedCopy('\\EFI\\keel\\loader.efi'), 1);
    for (const path of ['', '\\EFI\\keel\\12345678.efi', 'loader.efi']) {
      assert.equal(startedCopy(path), undefined, path);
    }
  });

  it('are mended from the one that was known to be right, and kept in mind', async () => {
    const node = nodeWith(GOOD, GOOD);
    await new BootLadder(node.world.ports(), node.bootState).repair(COMMITTED);
    const record = node.world.state.files.get(UPDATE_PATHS.loader);
    assert.ok(record);
    for (const [first, second] of [
      [ROTTEN, GOOD],
      [GOOD, ROTTEN],
      [undefined, GOOD],
      [GOOD, undefined],
    ]) {
      const hurt = nodeWith(first, second);
      hurt.world.state.files.set(UPDATE_PATHS.loader, record);
      const { verdict, written } = await hurt.bootState.mendLoaders();
      assert.deepEqual([verdict.kind, written], ['equal', PATHS[first === GOOD ? 1 : 0]]);
      assert.deepEqual(await copies(hurt), ['good', 'good']);
      assert.equal((await hurt.bootState.mendLoaders()).written, undefined);
    }
  });

  it('are mended from the second, when the firmware has passed the first one over', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    startedFrom(node, SECOND_LOADER_PATH);
    assert.equal((await node.bootState.mendLoaders()).verdict.kind, 'equal');
    assert.deepEqual(await copies(node), ['good', 'good']);
    assert.match(node.world.logged.join('\n'), /EFI\/BOOT\/BOOTX64\.EFI is damaged or gone/);
  });

  it('are left alone when nothing tells which one is right', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    startedFrom(node, LOADER_PATH);
    const disk = () => Buffer.from(node.world.files.files.get('/dev/vda1') as Uint8Array);
    const before = disk();
    assert.deepEqual((await node.bootState.mendLoaders()).verdict, { kind: 'unknown' });
    assert.ok(before.equals(disk()));
  });

  it('are rungs of the ladder: a damaged one is not as it must be, and a repair mends it', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    startedFrom(node, SECOND_LOADER_PATH);
    const correct = async (ladder: BootLadder) =>
      (await ladder.check()).rungs.map(({ isCorrect }) => isCorrect);
    const { bootState } = node;
    const mendLoaders = () => Promise.reject(new Error('it cannot be written'));
    const ports = node.world.ports();
    const helpless = new BootLadder(ports, { mendLoaders });
    await helpless.repair(COMMITTED);
    assert.deepEqual(await correct(helpless), [false, false, true]);
    const ladder = new BootLadder(ports, bootState);
    assert.deepEqual(await ladder.repair(COMMITTED), [
      'The boot loader EFI/BOOT/BOOTX64.EFI was damaged or gone.',
    ]);
    assert.deepEqual(await correct(ladder), [true, true, true]);
  });

  it('are mended also where the firmware keeps no variables', async () => {
    const node = nodeWith(GOOD, GOOD);
    await new BootLadder(node.world.ports(), node.bootState).repair(COMMITTED);
    const hurt = nodeWith(ROTTEN, GOOD);
    const record = node.world.state.files.get(UPDATE_PATHS.loader) ?? assert.fail();
    hurt.world.state.files.set(UPDATE_PATHS.loader, record);
    hurt.world.variables.isAvailable = false;
    const ladder = new BootLadder(hurt.world.ports(), hurt.bootState);
    assert.deepEqual(await ladder.repair(COMMITTED), [
      'The boot loader EFI/BOOT/BOOTX64.EFI was damaged or gone.',
    ]);
    assert.deepEqual(await copies(hurt), ['good', 'good']);
  });

  it('are mended although the state partition is full, and asked for by every start', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    startedFrom(node, SECOND_LOADER_PATH);
    node.world.state.writeFailure = 'ENOSPC';
    await new BootLadder(node.world.ports(), node.bootState).repair(COMMITTED);
    assert.deepEqual(await copies(node), ['good', 'good']);
    assert.match(node.world.logged.join('\n'), /boot loader not remembered/);
  });

  const hurt = [
    ['a first one that has rotted', [ROTTEN, GOOD]],
    ['a second one that has rotted', [GOOD, ROTTEN]],
    ['no first one', [undefined, GOOD]],
    ['no second one', [GOOD, undefined]],
  ] as const;
  for (const [what, pair] of hurt) {
    it(`are never gone, at whatever write or flush of their mending the disk fails: ${what}`, async () => {
      await mendedWhereverItFails(pair, await knownRecord());
    });
  }

  it('are left alone when the one that is right reads differently the second time', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    node.world.state.files.set(UPDATE_PATHS.loader, await knownRecord());
    const { boot } = misreading(node, 3);
    await assert.rejects(boot.mendLoaders(), {
      code: 'E_ESP_DAMAGED',
      message: /reads differently/,
    });
    assert.deepEqual(await copies(node), ['rott', 'good']);
  });

  it('are left alone without room for another, and are then told', async () => {
    const node = nodeWith(ROTTEN, GOOD);
    node.world.state.files.set(UPDATE_PATHS.loader, await knownRecord());
    const esp = await node.esp();
    const { freeBytes } = esp;
    await esp.write('EFI/keel/full', Buffer.alloc(freeBytes - 2_048), freeBytes - 2_048);
    await assert.rejects(node.bootState.mendLoaders(), { code: 'E_ESP_FULL' });
    assert.deepEqual(await copies(node), ['rott', 'good']);
  });
});

/** Fails the disk at every write and flush of a mending in turn. */
async function mendedWhereverItFails(
  pair: readonly [Buffer | undefined, Buffer | undefined],
  record: Uint8Array,
): Promise<void> {
  const hurt = pair[0] === GOOD ? 1 : 0;
  const before = pair[hurt]?.toString('latin1', 0, 4);
  const seen = new Set<string | undefined>();
  for (let left = 0; ; left += 1) {
    const node = nodeWith(...pair);
    node.world.state.files.set(UPDATE_PATHS.loader, record);
    const { boot, isDone } = failingAfter(node, left);
    const mending = await boot.mendLoaders().catch(() => undefined);
    const now = await copies(node);
    assert.equal(now[1 - hurt], 'good');
    assert.ok([before, 'good'].includes(now[hurt]), `${now[hurt]} after ${left} calls`);
    if (mending !== undefined) assert.deepEqual(now, ['good', 'good']);
    seen.add(now[hurt]);
    node.startAgent();
    assert.equal((await node.bootState.mendLoaders()).verdict.kind, 'equal');
    assert.deepEqual(await copies(node), ['good', 'good']);
    await assertNothingBeside(node);
    if (isDone()) break;
  }
  assert.deepEqual(seen, new Set([before, 'good']));
}

async function knownRecord(): Promise<Uint8Array> {
  const node = nodeWith(GOOD, GOOD);
  await new BootLadder(node.world.ports(), node.bootState).repair(COMMITTED);
  return node.world.state.files.get(UPDATE_PATHS.loader) ?? assert.fail();
}

async function assertNothingBeside(node: UpdateWorld): Promise<void> {
  const esp = await node.esp();
  for (const folder of ['EFI/BOOT', 'EFI/keel']) {
    const names = ((await esp.list(folder)) ?? []).map(({ name }) => name);
    assert.ok(!names.some((name) => /\.new$/i.test(name)), names.join());
  }
}

/** The boot state on a disk that takes so many writes and flushes, and no more. */
function failingAfter(node: UpdateWorld, calls: number) {
  let left = calls;
  const spend = () => {
    left -= 1;
    if (left < 0) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', errno: -5 });
  };
  const boot = new BootState({
    ...node.world.ports(),
    openDevice: async (path, mode) => {
      const device = await node.world.ports().openDevice(path, mode);
      return wrapped(device, {
        writeAt: async (...args) => {
          spend();
          return device.writeAt(...args);
        },
        flush: async () => {
          spend();
          return device.flush();
        },
      });
    },
  });
  return { boot, isDone: () => left >= 0 };
}

/** The boot state on a disk that reads the second copy's contents with a flipped bit from the n-th time on. */
function misreading(node: UpdateWorld, from: number) {
  let reads = 0;
  const boot = new BootState({
    ...node.world.ports(),
    openDevice: async (path, mode) => {
      const device = await node.world.ports().openDevice(path, mode);
      return wrapped(device, {
        readAt: async (...args) => {
          const bytes = Buffer.from(await device.readAt(...args));
          const isIt = bytes.subarray(0, 4).toString('latin1') === 'good';
          if (isIt) reads += 1;
          if (isIt && reads >= from - 1) bytes.writeUInt8(bytes.readUInt8(9) ^ 1, 9);
          return bytes;
        },
      });
    },
  });
  return { boot };
}

function wrapped(device: BlockDevice, other: Partial<BlockDevice>): BlockDevice {
  const get = (_: BlockDevice, key: PropertyKey) => {
    const value = Reflect.get(other, key) ?? Reflect.get(device, key);
    return typeof value === 'function' ? value.bind(device) : value;
  };
  return new Proxy(device, { get });
}
