/** The model of disk and state partition: what is durable when, what a cut leaves, what a page cache hides. */
import assert from 'node:assert/strict';
import { createStateStore } from '@keelos/ts-agent/sys/state-store.ts';
import { Random } from '../fuzz/random.ts';
import { FileNames } from './file-names.ts';
import { Hardware } from './hardware.ts';
import { type Medium, mediumAfterCut, mediumAfterSync } from './medium.ts';
import { SECTOR_BYTES, Sectors } from './sectors.ts';
import { simulatedFiles } from './simulated-files.ts';
import type { Survival } from './survival.ts';

const SEED = 7;
const DISK_BYTES = 65_536;
const EXTENTS = new Map([
  ['whole', { offsetBytes: 0, sizeBytes: DISK_BYTES }],
  ['one', { offsetBytes: 4096, sizeBytes: 16_384 }],
  ['two', { offsetBytes: 32_768, sizeBytes: 16_384 }],
]);

function blank(): Medium {
  return { disk: new Sectors(DISK_BYTES), files: new FileNames(), variables: new Map() };
}

const sectors = (...values: readonly number[]) =>
  Buffer.concat(values.map((value) => Buffer.alloc(SECTOR_BYTES, value)));

/** First byte of each of `count` sectors. */
function firsts(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length / SECTOR_BYTES }, (_, at) => bytes[at * 512] ?? -1);
}

function afterCut(hardware: Hardware, survival: Survival, count = hardware.events.length) {
  const random = new Random(SEED, count);
  const cut = { base: hardware.base, events: hardware.events, count };
  return mediumAfterCut(cut, survival, (below) => random.below(below));
}

describe('a disk that can be cut', () => {
  it('has what was flushed, and of the rest what the choice says', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const one = await hardware.openDevice('one', 'write');
    await one.writeAt(0, sectors(1, 2));
    await one.flush();
    await one.writeAt(0, sectors(3));
    await one.writeAt(512, sectors(4, 5));
    const rows: [Survival, number[]][] = [
      ['none', [1, 2, 0]],
      ['all', [3, 4, 5]],
      ['newest', [1, 4, 5]],
    ];
    for (const [survival, expected] of rows) {
      const { medium } = afterCut(hardware, survival);
      assert.deepEqual(firsts(medium.disk.read(4096, 1536)), expected, survival);
    }
    assert.deepEqual(firsts(afterCut(hardware, 'none', 1).medium.disk.read(4096, 1024)), [0, 0]);
    assert.deepEqual(firsts(hardware.base.disk.read(4096, 1024)), [0, 0], 'the base is as it was');
  });

  it('tears a write between sectors, in every way', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const one = await hardware.openDevice('one', 'write');
    await one.writeAt(0, sectors(1, 2, 3));
    const seen = { torn: new Set<string>(), some: new Set<string>() };
    const random = new Random(SEED, 0);
    const cut = { base: hardware.base, events: hardware.events, count: 1 };
    for (const survival of ['torn', 'some'] as const) {
      for (let round = 0; round < 300; round += 1) {
        const { medium, key } = mediumAfterCut(cut, survival, (below) => random.below(below));
        const found = firsts(medium.disk.read(4096, 1536)).join('');
        seen[survival].add(found);
        assert.equal(key.includes('0:'), found !== '000');
      }
    }
    assert.equal(seen.some.size, 8);
    assert.ok(!seen.torn.has('123') && seen.torn.size === 7, [...seen.torn].join(' '));
  });

  it('gives equal media for equal draws', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const two = await hardware.openDevice('two', 'write');
    for (let at = 0; at < 8; at += 1) await two.writeAt(at * 1024, sectors(at, at + 1));
    const [a, b] = [afterCut(hardware, 'some'), afterCut(hardware, 'some')];
    assert.equal(a.key, b.key);
    assert.deepEqual(a.medium.disk.read(0, DISK_BYTES), b.medium.disk.read(0, DISK_BYTES));
  });

  it('flushes one device and not the other, and writes whole sectors', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const [one, two] = [
      await hardware.openDevice('one', 'write'),
      await hardware.openDevice('two', 'write'),
    ];
    await one.writeAt(100, Buffer.alloc(10, 1));
    await two.writeAt(0, sectors(2));
    await one.flush();
    const { disk } = afterCut(hardware, 'none').medium;
    assert.equal(disk.read(4096 + 100, 1)[0], 1);
    assert.equal(disk.read(32_768, 1)[0], 0);
    assert.equal(hardware.events.filter(({ kind }) => kind === 'write').length, 2);
    await assert.rejects(one.readAt(16_384, 1), { code: 'EIO' });
    await assert.rejects(one.writeAt(16_380, sectors(1)), { code: 'EIO' });
    await assert.rejects(hardware.openDevice('three', 'read'), { code: 'ENOENT' });
    const reader = await hardware.openDevice('one', 'read');
    await assert.rejects(reader.writeAt(0, sectors(1)), { code: 'EBADF' });
  });

  it('hides by its page cache what the drive has made of a write, until the cache is dropped', async () => {
    const isCorrupted = ({ offsetBytes }: { readonly offsetBytes: number }) => offsetBytes === 512;
    const hardware = new Hardware(blank(), EXTENTS, { isCorrupted });
    const one = await hardware.openDevice('one', 'write');
    await one.writeAt(512, sectors(8));
    assert.equal((await one.readAt(512, 1))[0], 8);
    await one.dropCache();
    assert.equal((await one.readAt(512, 1))[0], 8, 'a dirty page is not dropped');
    await one.flush();
    assert.equal((await one.readAt(512, 1))[0], 8);
    await one.dropCache();
    assert.equal((await one.readAt(512, 1))[0], 9);
  });

  it('shows through one device file what was written through another after flush and drop', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const [whole, one] = [
      await hardware.openDevice('whole', 'write'),
      await hardware.openDevice('one', 'write'),
    ];
    const read = async () => (await whole.readAt(4096, 1))[0];
    assert.equal(await read(), 0);
    await one.writeAt(0, sectors(5));
    await one.flush();
    assert.equal(await read(), 0);
    await whole.dropCache();
    assert.equal(await read(), 5);
  });

  it('has everything after an orderly restart, but for volatile variables', async () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const one = await hardware.openDevice('one', 'write');
    await one.writeAt(0, sectors(6));
    await hardware.variables.write('kept', { attributes: 7, data: Buffer.from('k') });
    await hardware.variables.write('gone', { attributes: 6, data: Buffer.from('g') });
    createStateStore(simulatedFiles(hardware)).replace('/var/x', Buffer.from('x'));
    hardware.restart();
    const { medium } = afterCut(hardware, 'none');
    assert.equal(medium.disk.read(4096, 1)[0], 6);
    assert.deepEqual([...medium.variables.keys()], ['kept']);
    assert.equal(Buffer.from(medium.files.read('/var/x') ?? []).toString(), 'x');
    assert.deepEqual(hardware.medium.files.paths(), medium.files.paths());
    const { base, events } = hardware;
    const all = mediumAfterSync({ base, events, count: events.length });
    assert.deepEqual(all.disk.read(0, DISK_BYTES), medium.disk.read(0, DISK_BYTES));
  });
});

describe('a state partition that can be cut', () => {
  const path = '/var/lib/keel/a.rec';
  const texts = (hardware: Hardware) => {
    const found = new Set<string>();
    for (let count = 0; count <= hardware.events.length; count += 1) {
      for (const survival of ['none', 'all', 'newest', 'torn', 'some'] as const) {
        const bytes = afterCut(hardware, survival, count).medium.files.read(path);
        found.add(bytes === undefined ? 'absent' : Buffer.from(bytes).toString('latin1', 0, 3));
      }
    }
    return [...found].sort();
  };
  const twice = (change: (calls: ReturnType<typeof simulatedFiles>) => void = () => undefined) => {
    const hardware = new Hardware(blank(), EXTENTS);
    const calls = simulatedFiles(hardware);
    change(calls);
    const store = createStateStore(calls);
    store.replace(path, Buffer.alloc(2000, 'old'));
    store.replace(path, Buffer.alloc(2000, 'new'));
    return hardware;
  };

  it('has the old record or the new one after every cut of the real store', () => {
    assert.deepEqual(texts(twice()), ['absent', 'new', 'old']);
  });

  it('shows an empty record when the store forgets to sync the file', () => {
    const hardware = twice((calls) => {
      const sync = calls.sync;
      let number = 0;
      // Each replacement syncs its file, then its folder.
      calls.sync = (file) => {
        number += 1;
        if (number % 2 === 0) sync(file);
      };
    });
    assert.ok(texts(hardware).includes(''), texts(hardware).join());
  });

  it('reads, lists, removes and sets aside as node:fs does', () => {
    const hardware = new Hardware(blank(), EXTENTS);
    const store = createStateStore(simulatedFiles(hardware));
    assert.equal(store.read(path), undefined);
    store.replace(path, Buffer.from('1'));
    store.replace('/var/lib/keel/deep/b.rec', Buffer.from('2'));
    assert.deepEqual(store.list('/var/lib/keel'), ['a.rec']);
    store.setAside(path);
    store.setAside(path);
    assert.deepEqual(store.list('/var/lib/keel'), ['a.rec.damaged']);
    store.remove(`${path}.damaged`);
    store.remove(path);
    assert.deepEqual(hardware.files.paths(), ['/var/lib/keel/deep/b.rec']);
  });
});
