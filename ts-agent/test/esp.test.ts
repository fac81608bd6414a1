import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { Esp } from '@keelos/ts-agent/shell/esp.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import fc from 'fast-check';
import { cutStates, OverlayDisk, type Sectors, seeded } from './cut-disk.ts';
import { EspFile } from './esp-oracles.ts';
import { testEsp } from './slot-disk.ts';

const SEED = Number(process.env.KEEL_SEED ?? 20_261_124);
const bytesOf = (size: number, seed = 1) =>
  Buffer.from(Array.from({ length: size }, (_, at) => (at * seed + at / 251) % 256));
const FILES = [
  { path: 'EFI/BOOT/BOOTX64.EFI', data: bytesOf(1_000) },
  { path: 'EFI/keel/01234567.efi', data: bytesOf(5_000, 3) },
  { path: 'loader/loader.conf', data: Buffer.from('timeout 0\n') },
  { path: 'loader/entries/keel-1+9.conf', data: Buffer.from('title KeelOS\n') },
];

async function contents(esp: Esp, folders: readonly string[]): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const folder of folders) {
    for (const { name, isDirectory } of (await esp.list(folder)) ?? []) {
      if (isDirectory) continue;
      const path = `${folder}/${name}`;
      found.set(path, (await esp.read(path, 2 ** 20)) ?? Buffer.alloc(0));
    }
  }
  return found;
}
const FOLDERS = ['EFI/BOOT', 'EFI/keel', 'loader', 'loader/entries', 'new', 'new/deep'];

describe('EFI system partition', function () {
  this.timeout(60_000);
  const base = testEsp(FILES);
  const file = new EspFile(base);
  after(() => file.close());
  const check = (disk: OverlayDisk, name: string) =>
    assert.equal(
      file.with(disk, () => file.complaints()),
      '',
      name,
    );

  it('is written so that fsck.vfat has no complaint and mtools read it', async () => {
    const disk = new OverlayDisk(base);
    const esp = await Esp.open(disk);
    const image = bytesOf(2_500_001, 7);
    const before = esp.freeBytes;
    await esp.write('EFI/keel/89abcdef.efi', image, image.length);
    check(disk, 'write');
    assert.equal(before - esp.freeBytes, esp.roomFor(image.length));
    assert.ok(file.with(disk, () => file.read('EFI/keel/89abcdef.efi')).equals(image));
    await esp.write('loader/entries/keel-2.new', Buffer.from('efi /x\n'), 7);
    check(disk, 'entry');
    await esp.rename('loader/entries/keel-2.new', 'keel-2+1.conf');
    check(disk, 'rename');
    const listing = file.with(disk, () => file.mtool('mdir', '-b', '::loader/entries'));
    assert.deepEqual(listing.trim().split('\n').toSorted(), [
      ...['::/loader/entries/keel-1+9.conf', '::/loader/entries/keel-2+1.conf'],
    ]);
    await esp.remove('EFI/keel/89ABCDEF.efi');
    await esp.remove('EFI/keel/89abcdef.efi');
    await esp.remove('loader/entries/keel-2+1.conf');
    check(disk, 'remove');
    assert.equal(esp.freeBytes, before);
    await esp.write('new/deep/empty.conf', Buffer.alloc(0), 0);
    check(disk, 'folders');
    assert.deepEqual(await esp.list('new/deep'), await esp.list('NEW/DEEP'));
    assert.equal(await esp.reclaim(), 0);
  });

  it('takes bytes as they come, and not more or fewer than were said', async () => {
    const image = bytesOf(100_000, 5);
    const longer = Buffer.concat([image, image]);
    async function* pieces(sizes: readonly number[]) {
      let at = 0;
      for (const size of sizes) {
        yield longer.subarray(at, at + size);
        at += size;
      }
    }
    for (const sizes of [[100_000], [1, 511, 513, 0, 98_975], [60_000, 40_000]]) {
      const disk = new OverlayDisk(base);
      const esp = await Esp.open(disk);
      await esp.write('EFI/keel/a.efi', pieces(sizes), image.length);
      assert.ok((await esp.read('EFI/keel/a.efi', 2 ** 20))?.equals(image));
    }
    const failing = async function* () {
      yield image.subarray(0, 10);
      throw new KeelError('E_SOURCE_CHANGED', 'Cannot read bundle: it changed');
    };
    const cases: readonly [string, AsyncIterable<Uint8Array>, RegExp | undefined][] = [
      ['short', pieces([99_999]), /99999 bytes or more, expected 100000/],
      ['long', pieces([100_000, 1]), /expected 100000/],
      ['empty pieces behind it', pieces([100_000, 0, 0]), undefined],
      ['a source that fails', failing(), /it changed/],
    ];
    for (const [name, bytes, reason] of cases) {
      const disk = new OverlayDisk(base);
      const esp = await Esp.open(disk);
      const free = esp.freeBytes;
      const write = esp.write('EFI/keel/a.efi', bytes, image.length);
      if (reason === undefined) await write;
      else {
        await assert.rejects(write, reason, name);
        assert.equal(await esp.read('EFI/keel/a.efi', 1), undefined, name);
        assert.equal(esp.freeBytes, free, name);
        check(disk, name);
      }
    }
  });

  it('has a rename that changes one sector, whatever the names', async () => {
    const names = ['keel-2.new', 'keel-2+1.conf', 'keel-2+0-1.conf', 'keel-2+9.conf'];
    const disk = new OverlayDisk(base);
    const esp = await Esp.open(disk);
    await esp.write(`loader/entries/${names[0]}`, Buffer.from('efi /x\n'), 7);
    for (const [index, name] of [...names, ...names.toReversed()].entries()) {
      const from = [...names, ...names.toReversed()][index - 1];
      if (from === undefined || from === name) continue;
      disk.calls.length = 0;
      await esp.rename(`loader/entries/${from}`, name);
      const writes = disk.calls.filter((call) => call !== 'flush');
      assert.deepEqual(
        writes.map((write) => write.length),
        [1],
        `${from} to ${name}`,
      );
      assert.equal(disk.calls.at(-1), 'flush');
      check(disk, name);
    }
  });

  it('renames also where a sector is full, or a name lies across two', async () => {
    const disk = new OverlayDisk(base);
    const esp = await Esp.open(disk);
    // 16 entries of 32 bytes are a sector; "." and ".." are there already, keel-1+9.conf has two.
    for (let index = 0; index < 6; index += 1) {
      await esp.write(`loader/entries/file-${index}.conf`, Buffer.from([index]), 1);
    }
    const longer = 'file-3-with-a-name-that-needs-more-entries.conf';
    await esp.rename('loader/entries/file-3.conf', longer);
    check(disk, 'full sector');
    assert.deepEqual(await esp.read(`loader/entries/${longer}`, 9), Buffer.from([3]));
    assert.equal(await esp.read('loader/entries/file-3.conf', 9), undefined);
    await assert.rejects(esp.rename('loader/entries/file-1.conf', 'FILE-2.conf'), TypeError);
    await assert.rejects(esp.rename('loader/entries/none', 'x'), TypeError);
    await assert.rejects(esp.write(`loader/entries/${longer}`, Buffer.alloc(1), 1), TypeError);
    await assert.rejects(esp.remove('loader/entries'), TypeError);
    // mtools put a long name wherever there is room.
    const mixed = new EspFile(disk.whole());
    for (const name of [
      'x1.conf',
      ...['a', 'b', 'c', 'd'].map((one) => `${one}-three-entries.conf`),
    ]) {
      mixed.mtool('mcopy', '::loader/loader.conf', `${mixed.path}.txt`);
      mixed.mtool('mcopy', `${mixed.path}.txt`, `::loader/entries/${name}`);
    }
    const other = new OverlayDisk(mixed.snapshot());
    const opened = await Esp.open(other);
    let isAcross = false;
    for (const { name, lastEntry, firstEntry } of (await opened.list('loader/entries')) ?? []) {
      isAcross ||= Math.floor(firstEntry / 16) !== Math.floor(lastEntry / 16);
      const kept = await opened.read(`loader/entries/${name}`, 99);
      await opened.rename(`loader/entries/${name}`, `new-${name}`);
      assert.deepEqual(await opened.read(`loader/entries/new-${name}`, 99), kept);
      assert.equal(
        mixed.with(other, () => mixed.complaints()),
        '',
        name,
      );
    }
    assert.ok(isAcross, 'no name lay across two sectors');
    mixed.close();
  });

  it('says when there is no room, and changes nothing', async () => {
    const disk = new OverlayDisk(base);
    const esp = await Esp.open(disk);
    const isFull = (error: unknown) => error instanceof KeelError && error.code === 'E_ESP_FULL';
    await assert.rejects(esp.write('EFI/keel/a.efi', Buffer.alloc(1), 2 ** 30), isFull);
    assert.deepEqual(disk.calls, []);
    const rest = Buffer.alloc(esp.freeBytes);
    await esp.write('EFI/keel/a.efi', rest, rest.length);
    assert.equal(esp.freeBytes, 0);
    check(disk, 'full');
    await assert.rejects(esp.write('EFI/keel/b.efi', Buffer.alloc(1), 1), isFull);
    await esp.remove('EFI/keel/a.efi');
    check(disk, 'empty again');
  });

  it('turns errors of the disk into errors of the table, and goes on from what is there', async () => {
    const device = createFakeBlockDevice(Buffer.from(base));
    const esp = await Esp.open(device);
    for (const failAfter of [0, 1, 2, 3, 4, 5]) {
      device.calls.length = 0;
      device.failAfter = failAfter;
      await assert.rejects(
        esp.write('EFI/keel/a.efi', Buffer.alloc(2_000), 2_000),
        (error) => error instanceof KeelError && error.code === 'E_ESP_DAMAGED',
      );
      device.failAfter = undefined;
      assert.equal(await esp.read('EFI/keel/a.efi', 9), undefined, `failed at ${failAfter}`);
    }
    await esp.reclaim();
    await esp.write('EFI/keel/a.efi', Buffer.alloc(2_000), 2_000);
    for (const broken of [Buffer.alloc(0), Buffer.alloc(512), base.subarray(0, 20_000)]) {
      await assert.rejects(
        Esp.open(createFakeBlockDevice(Buffer.from(broken))),
        (error) => error instanceof KeelError && error.code === 'E_ESP_DAMAGED',
      );
    }
  });

  it('damaged anywhere, ends every change with an error of the table or a whole result', async () => {
    const random = seeded(SEED);
    const tableAt = 32 * 512;
    const dataAt = base.indexOf(Buffer.from('EFI        '));
    const places = [
      ...Array.from({ length: 60 }, (_, at) => 11 + at),
      ...Array.from({ length: 120 }, () => tableAt + Math.floor(random() * 160)),
      ...Array.from({ length: 200 }, () => dataAt + Math.floor(random() * 4096)),
    ];
    let failed = 0;
    for (const place of places) {
      const start = (place >> 9) << 9;
      const sector = Buffer.from(base.subarray(start, start + 512));
      sector.writeUInt8(
        (sector[place - start] ?? 0) ^ (1 + Math.floor(random() * 255)),
        place - start,
      );
      const disk = new OverlayDisk(base, new Map([[place >> 9, sector]]));
      for (const change of [
        (esp: Esp) => esp.reclaim(),
        (esp: Esp) => esp.write('EFI/keel/new.efi', bytesOf(3_000), 3_000),
        (esp: Esp) => esp.rename('loader/entries/keel-1+9.conf', 'keel-1+8-1.conf'),
        (esp: Esp) => esp.remove('EFI/keel/01234567.efi'),
      ]) {
        try {
          await change(await Esp.open(disk));
        } catch (error) {
          failed += 1;
          const isKnown = error instanceof KeelError || error instanceof TypeError;
          assert.ok(isKnown, `byte ${place}, seed ${SEED}: ${error}`);
        }
      }
      assert.equal(disk.sizeBytes, base.length);
    }
    assert.ok(failed > 20 && failed < places.length * 4, `${failed} errors`);
  });

  const operations: readonly [string, (esp: Esp) => Promise<unknown>][] = [
    ['write', (esp) => esp.write('EFI/keel/89abcdef.efi', bytesOf(3_000, 9), 3_000)],
    ['arm', (esp) => esp.rename('loader/entries/keel-2.new', 'keel-2+1.conf')],
    ['commit', (esp) => esp.rename('loader/entries/keel-1+9.conf', 'keel-1+8-1.conf')],
    ['remove an entry', (esp) => esp.remove('loader/entries/keel-1+9.conf')],
    ['remove a kernel image', (esp) => esp.remove('EFI/keel/01234567.efi')],
    ['folders', (esp) => esp.write('new/deep/a.conf', bytesOf(10), 10)],
    ['reclaim, with clusters lost and tables that differ', (esp) => esp.reclaim()],
  ];
  for (const [name, operate] of operations) {
    it(`is whole after a cut anywhere in: ${name}`, async () => {
      const start = new OverlayDisk(base);
      await (await Esp.open(start)).write('loader/entries/keel-2.new', Buffer.from('efi /x\n'), 7);
      if (name.startsWith('reclaim')) await loseClusters(start);
      const disk = new OverlayDisk(base, start.sectors);
      const esp = await Esp.open(disk);
      const before = await contents(esp, FOLDERS);
      await operate(esp);
      const after = await contents(esp, FOLDERS);
      let states = 0;
      for (const state of cutStates(start.sectors, disk.calls, seeded(SEED))) {
        states += 1;
        await survives(state.sectors, { before, after, name: `${state.name}, seed ${SEED}` });
      }
      assert.ok(disk.calls.length > 1 && states >= disk.calls.length);
    });
  }

  /** A write that was cut when the first of the two tables was written. */
  async function loseClusters(disk: OverlayDisk): Promise<void> {
    const other = new OverlayDisk(base, disk.sectors);
    await (await Esp.open(other)).write('EFI/keel/lost.efi', bytesOf(90_000), 90_000);
    const tableAt = other.calls.indexOf('flush') + 1;
    for (const call of other.calls.slice(0, tableAt + 1)) {
      if (call === 'flush') continue;
      for (const { sector, bytes } of call) disk.sectors.set(sector, bytes);
    }
  }

  async function survives(
    sectors: Sectors,
    of: {
      readonly before: ReadonlyMap<string, Buffer>;
      readonly after: ReadonlyMap<string, Buffer>;
      readonly name: string;
    },
  ): Promise<void> {
    const disk = new OverlayDisk(base, sectors);
    const esp = await Esp.open(disk);
    const found = await contents(esp, FOLDERS);
    const isOneOf = [of.before, of.after].some(
      (wanted) =>
        wanted.size === found.size &&
        [...wanted].every(([path, data]) => found.get(path)?.equals(data)),
    );
    assert.ok(isOneOf, `${of.name}: ${[...found.keys()].join(' ')}`);
    await esp.reclaim();
    check(disk, of.name);
    await esp.write('loader/entries/next.conf', bytesOf(600), 600);
    check(disk, `${of.name}, then a write`);
  }

  it('stays in order under any sequence of changes', async () => {
    const name = fc.constantFrom(
      'keel-2.new',
      'keel-2+1.conf',
      'keel-2+0-1.conf',
      'A.EFI',
      'long-name-of-thirty-letters.efi',
    );
    const folder = fc.constantFrom('EFI/keel', 'loader/entries', 'new/deep');
    const change = fc.record({
      kind: fc.constantFrom('write', 'rename', 'remove'),
      folder,
      name,
      to: name,
      size: fc.nat(4_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 25 }), async (changes) => {
        const disk = new OverlayDisk(base);
        const esp = await Esp.open(disk);
        const model = await contents(esp, FOLDERS);
        for (const one of changes) {
          const path = `${one.folder}/${one.name}`;
          const target = `${one.folder}/${one.to}`;
          if (one.kind === 'write' && !model.has(path)) {
            await esp.write(path, bytesOf(one.size, 3), one.size);
            model.set(path, bytesOf(one.size, 3));
          } else if (one.kind === 'remove') {
            await esp.remove(path);
            model.delete(path);
          } else if (one.kind === 'rename' && model.has(path) && !model.has(target)) {
            await esp.rename(path, one.to);
            model.set(target, model.get(path) ?? Buffer.alloc(0));
            model.delete(path);
          }
        }
        assert.deepEqual(
          new Map([...(await contents(esp, FOLDERS))].toSorted()),
          new Map([...model].toSorted()),
        );
        check(disk, 'after all');
      }),
      { seed: SEED, numRuns: 30 },
    );
  });
});
