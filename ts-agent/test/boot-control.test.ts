import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { nextEntry } from '@keelos/ts-agent/core/boot-state.ts';
import { LOADER_SELECTED } from '@keelos/ts-agent/core/loader-variables.ts';
import { BootState } from '@keelos/ts-agent/shell/boot-state.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import { FakeWorld } from './agent-fixture.ts';
import { bootEsp, kernelImageFor } from './boot-disk.ts';
import { setDisk, testRoot } from './slot-disk.ts';

const RUNNING = testRoot(1, 130);
const OTHER = testRoot(2, 130);
const THIRD = testRoot(3, 130);

/** A node that runs RUNNING from slot A, whose entry 1 the loader has counted down to `triesLeft`. */
function node({ triesLeft = 8, otherGuid = slotGuid(OTHER.rootHash) } = {}) {
  const world = new FakeWorld();
  setDisk(world, { running: RUNNING, other: OTHER.bytes, otherGuid });
  world.files.files.set('/dev/vda1', bootEsp({ rootHash: RUNNING.rootHash, triesLeft }));
  return { world, boot: new BootState(world.ports()) };
}

function imageOf(root: typeof OTHER, rootHash = root.rootHash) {
  const bytes = kernelImageFor(root.rootHash);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { rootHash, bytes, sizeBytes: bytes.length, sha256 };
}

/** The loader has started entry 1. */
const SELECTED = { attributes: 6, data: Buffer.from('keel-1+9.conf\0', 'utf16le') };

const release = (sequence: number, root: typeof OTHER) => ({
  sequence,
  version: `${sequence}.0`,
  rootHash: root.rootHash,
});
const fails = (code: ErrorCode) => (error: unknown) =>
  error instanceof KeelError && error.code === code;

async function names(boot: BootState): Promise<string[]> {
  return (await boot.read()).entries.map(({ fileName }) => fileName);
}

describe('boot state', () => {
  it('is read from the disk', async () => {
    const { boot } = node();
    const picture = await boot.read();
    assert.deepEqual(
      [picture.running.slot, picture.running.version, picture.running.entry?.fileName],
      ['a', '0.1.0', 'keel-1+8-1.conf'],
    );
    assert.deepEqual([picture.other.slot, picture.other.device], ['b', '/dev/vda3']);
    assert.deepEqual([picture.nextSequence, picture.isCounting], [2, true]);
    assert.deepEqual(picture.kernelImages, [kernelImagePath(RUNNING.rootHash)]);
  });

  it('goes through an update: disarm, place, arm, commit', async () => {
    const { world, boot } = node();
    await boot.putBackTries();
    assert.deepEqual(await names(boot), ['keel-1+9.conf']);
    await boot.disarmOther();
    await boot.placeKernelImage(imageOf(OTHER));
    await boot.arm(release(2, OTHER));
    assert.deepEqual(await names(boot), ['keel-2+1.conf', 'keel-1+9.conf']);
    const armed = await boot.read();
    assert.deepEqual(
      [nextEntry(armed)?.slot, nextEntry(armed)?.version, nextEntry(armed)?.rootHash],
      ['b', '2.0', OTHER.rootHash],
    );
    await boot.commit(2);
    assert.deepEqual(await names(boot), ['keel-2+9.conf', 'keel-1+9.conf']);
    assert.deepEqual(
      (await boot.slots({})).map(({ slot, state, isNext }) => [slot, state, isNext]),
      [
        ['a', 'committed', false],
        ['b', 'committed', true],
      ],
    );
    await boot.removeEntry(2);
    await boot.removeEntry(2);
    const after = await boot.read();
    assert.deepEqual(after.kernelImages, [kernelImagePath(RUNNING.rootHash)]);
    assert.deepEqual(
      after.entries.map(({ fileName }) => fileName),
      ['keel-1+9.conf'],
    );
    assert.deepEqual(world.logged, []);
  });

  it('gives the running system an entry when the folder of entries is gone', async () => {
    const { world, boot } = node();
    const esp = bootEsp({ rootHash: RUNNING.rootHash, triesLeft: 8 });
    // The directory "loader" gets another short name, to which its long one does not belong.
    const at = esp.indexOf('LOADER~1   ', 0, 'latin1');
    assert.ok(at > 0);
    esp.write('NOLOADER   ', at, 'latin1');
    world.files.files.set('/dev/vda1', esp);
    assert.deepEqual(await names(boot), []);
    await boot.putBackTries();
    const picture = await boot.read();
    assert.equal(picture.running.entry?.fileName, 'keel-1+9.conf');
    assert.equal(nextEntry(picture)?.rootHash, RUNNING.rootHash);
    await boot.removeEntry(1);
    await boot.commit(5);
    assert.deepEqual(await names(boot), ['keel-5+9.conf']);
  });

  it('writes a kernel image over what has its name, reads it back, and leaves that of the running kernel', async () => {
    const { world, boot } = node();
    const image = imageOf(OTHER);
    await boot.placeKernelImage(imageOf(THIRD, OTHER.rootHash));
    await boot.placeKernelImage(image);
    await boot.arm(release(2, OTHER));
    assert.equal(nextEntry(await boot.read())?.rootHash, OTHER.rootHash);
    await boot.removeEntry(2);
    await boot.placeKernelImage(image);
    await assert.rejects(boot.placeKernelImage(imageOf(RUNNING)), fails('E_INTERNAL'));
    await assert.rejects(
      boot.placeKernelImage({ ...imageOf(THIRD), sha256: '0'.repeat(64) }),
      fails('E_ESP_DAMAGED'),
    );
    const { kernelImages } = await boot.read();
    assert.ok(!kernelImages.includes(kernelImagePath(THIRD.rootHash)));
    const clash = { ...image, rootHash: RUNNING.rootHash.slice(0, 8).padEnd(64, '0') };
    await assert.rejects(boot.placeKernelImage(clash), fails('E_INTERNAL'));
    const room = await boot.roomForKernelImage();
    await assert.rejects(
      boot.placeKernelImage({ ...imageOf(THIRD), sizeBytes: room + 1 }),
      fails('E_ESP_FULL'),
    );
    await boot.disarmOther();
    assert.equal(await boot.roomForKernelImage(), room);
    world.files.files.set('/dev/vda1', new Error('EIO'));
    await assert.rejects(boot.read(), fails('E_ESP_DAMAGED'));
  });

  it('goes on where the kernel image of another release cannot be read', async () => {
    const { world, boot } = node();
    await boot.placeKernelImage(imageOf(OTHER));
    await boot.arm(release(2, OTHER));
    const esp = world.files.files.get('/dev/vda1');
    assert.ok(Buffer.isBuffer(esp));
    // Its first cluster, as its directory entry has it, is one that leads nowhere.
    const name = kernelImagePath(OTHER.rootHash).split('/').at(-1)?.slice(0, 6).toUpperCase() ?? '';
    const at = esp.indexOf(`${name}~1EFI`, 0, 'latin1');
    assert.ok(at > 0);
    esp.writeUInt16LE(0xfff0, at + 20);
    await boot.putBackTries();
    const picture = await boot.read();
    assert.deepEqual(
      picture.entries.map(({ fileName, rootHash, isImageThere }) => [
        ...[fileName, rootHash, isImageThere],
      ]),
      [
        ['keel-2+1.conf', undefined, true],
        ['keel-1+9.conf', RUNNING.rootHash, true],
      ],
    );
    await boot.disarmOther();
    assert.deepEqual(await names(boot), ['keel-1+9.conf']);
  });

  it('does not arm what would not be next, and says what is', async () => {
    const { boot } = node();
    await assert.rejects(boot.arm(release(2, OTHER)), /keel-1\+8-1.conf is next/);
    assert.deepEqual(await names(boot), ['keel-1+8-1.conf']);
  });

  it('remembers for this boot whether the loader counted', async () => {
    const cases: readonly [string, number, string | undefined, boolean | undefined][] = [
      ['counted', 8, 'keel-1+9.conf', true],
      ['not counted', 9, 'keel-1+9.conf', false],
      ['not started by the loader', 9, undefined, undefined],
    ];
    for (const [name, triesLeft, selected, expected] of cases) {
      const { world, boot } = node({ triesLeft });
      world.variables.variables.delete(LOADER_SELECTED);
      if (selected !== undefined) {
        const data = Buffer.from(`${selected}\0`, 'utf16le');
        world.variables.variables.set(LOADER_SELECTED, { attributes: 6, data });
      }
      assert.equal(await boot.counting(), expected, name);
      await boot.putBackTries();
      assert.equal(await boot.counting(), expected, `${name}, then put back`);
      const restarted = new BootState(world.ports());
      assert.equal((await restarted.read()).isCounting, expected, `${name}, agent started again`);
      world.reboot();
      world.files.files.set('/dev/vda1', bootEsp({ rootHash: RUNNING.rootHash, triesLeft: 8 }));
      const next = new BootState(world.ports());
      assert.equal(
        await next.counting(),
        selected === undefined ? undefined : true,
        `${name}, next boot`,
      );
    }
  });

  it('remembers across boots that this loader counts with this firmware', async () => {
    const { world, boot } = node();
    const { files } = world.files;
    const vendor = '/sys/class/dmi/id/bios_vendor';
    const next = async () => {
      world.reboot();
      return new BootState(world.ports()).counting();
    };
    assert.equal(await boot.counting(), true);
    world.variables.variables.delete(LOADER_SELECTED);
    assert.equal(await next(), undefined, 'a firmware that does not say what it is');
    files.set(vendor, 'Acme\n');
    assert.equal(await next(), undefined, 'nothing was remembered');

    world.variables.variables.set(LOADER_SELECTED, SELECTED);
    assert.equal(await next(), true);
    world.variables.variables.delete(LOADER_SELECTED);
    assert.equal(await next(), true, 'started past the loader');
    files.set(vendor, 'Another\n');
    assert.equal(await next(), undefined, 'another firmware');
    files.set(vendor, 'Acme\n');
    const esp = Buffer.from(files.get('/dev/vda1') as Buffer);
    const parts = { rootHash: RUNNING.rootHash, triesLeft: 8 };
    files.set('/dev/vda1', bootEsp({ ...parts, loader: Buffer.alloc(9, 1) }));
    assert.equal(await next(), undefined, 'another loader');
    files.set('/dev/vda1', bootEsp({ ...parts, secondLoader: Buffer.alloc(9, 1) }));
    assert.equal(await next(), undefined, 'a second loader that is another one');
    files.set('/dev/vda1', esp);
    assert.equal(await next(), true);

    world.variables.variables.set(LOADER_SELECTED, SELECTED);
    files.set('/dev/vda1', bootEsp({ ...parts, triesLeft: 9 }));
    assert.equal(await next(), false, 'what is seen in this boot says more');
    world.variables.variables.delete(LOADER_SELECTED);
    assert.equal(await next(), undefined, 'and is remembered');

    world.variables.variables.set(LOADER_SELECTED, SELECTED);
    files.set('/dev/vda1', esp);
    assert.equal(await next(), true);
    world.variables.variables.delete(LOADER_SELECTED);
    assert.equal(await next(), true);
    world.state.files.set(UPDATE_PATHS.counting, Buffer.from('noise'));
    assert.equal(await next(), undefined, 'a damaged record');
  });

  it('makes changes one after the other, and closes what it opened', async () => {
    const { world } = node();
    const opened: ReturnType<typeof createFakeBlockDevice>[] = [];
    const bytes = world.files.files.get('/dev/vda1');
    assert.ok(Buffer.isBuffer(bytes));
    const boot = new BootState({
      ...world.ports(),
      openDevice: async () => {
        const device = createFakeBlockDevice(bytes);
        opened.push(device);
        return device;
      },
    });
    await Promise.all([
      boot.putBackTries(),
      boot.placeKernelImage(imageOf(OTHER)),
      boot.arm(release(2, OTHER)),
      boot.commit(2),
    ]);
    assert.deepEqual(await names(boot), ['keel-2+9.conf', 'keel-1+9.conf']);
    assert.ok(opened.length > 0 && opened.every(({ isClosed }) => isClosed));
  });
});
