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
import { Esp } from '@keelos/ts-agent/shell/esp.ts';
import { testEsp } from './slot-disk.ts';
import { UpdateWorld } from './update-world.ts';

const GOOD = Buffer.alloc(3_000, 'good');
const ROTTEN = Buffer.alloc(3_000, 'rotten');
const PATHS = [LOADER_PATH, SECOND_LOADER_PATH] as const;
const COMMITTED = { version: '0.1.0', rootHash: 'ab'.repeat(32) };

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
  const device = await node.world.ports().openDevice('/dev/vda1', 'read');
  const esp = await Esp.open(device);
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
    [['a', 'b'], 'a', undefined, { kind: 'damaged', copy: 1 }],
    [['b', 'a'], 'a', undefined, { kind: 'damaged', copy: 0 }],
    // It has a flipped bit, and starts all the same.
    [['b', 'a'], 'a', 0, { kind: 'damaged', copy: 0 }],
    [['a', 'b'], 'a', 1, { kind: 'damaged', copy: 1 }],
    [[undefined, 'a'], 'a', undefined, { kind: 'damaged', copy: 0 }],
    [[undefined, 'b'], undefined, 1, { kind: 'damaged', copy: 0 }],
    [['b', 'a'], undefined, 1, { kind: 'damaged', copy: 0 }],
    [['b', undefined], undefined, 0, { kind: 'damaged', copy: 1 }],
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
      const before = await hurt.bootState.loaders();
      assert.deepEqual(before, { kind: 'damaged', copy: first === GOOD ? 1 : 0 });
      assert.equal((await hurt.bootState.mendLoaders()).verdict.kind, 'equal');
      assert.deepEqual(await copies(hurt), ['good', 'good']);
      assert.equal((await hurt.bootState.loaders()).kind, 'equal');
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
    const ladder = new BootLadder(node.world.ports(), node.bootState);
    const correct = async () => (await ladder.check()).rungs.map(({ isCorrect }) => isCorrect);
    assert.deepEqual(await correct(), [false, true, true]);
    await ladder.repair(COMMITTED);
    assert.deepEqual(await correct(), [true, true, true]);
  });

  it('are mended also where the firmware keeps no variables', async () => {
    const node = nodeWith(GOOD, GOOD);
    await new BootLadder(node.world.ports(), node.bootState).repair(COMMITTED);
    const hurt = nodeWith(ROTTEN, GOOD);
    const record = node.world.state.files.get(UPDATE_PATHS.loader) ?? assert.fail();
    hurt.world.state.files.set(UPDATE_PATHS.loader, record);
    hurt.world.variables.isAvailable = false;
    const ladder = new BootLadder(hurt.world.ports(), hurt.bootState);
    const damage = ['The boot loader EFI/BOOT/BOOTX64.EFI was damaged or gone.'];
    assert.deepEqual(await ladder.repair(COMMITTED), { isAvailable: false, rungs: [], damage });
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
});
