import assert from 'node:assert/strict';
import {
  fatRecords,
  newDirectory,
  recordNamed,
  withName,
  withoutRecord,
  withRecord,
} from '@keelos/ts-agent/core/fat-directory.ts';
import { changedSectors, runsOf } from '@keelos/ts-agent/core/fat-writes.ts';
import fc from 'fast-check';

const CLUSTER_BYTES = 2048;
const empty = () => newDirectory(CLUSTER_BYTES, { own: 5, parent: 0 });
const shown = (bytes: Buffer) =>
  fatRecords(bytes)
    .map(({ name, firstCluster }) => `${name} ${firstCluster}`)
    .toSorted();
const sectorsBetween = (before: Buffer, after: Buffer) =>
  changedSectors(before, after, (at) => at).reduce((sum, { bytes }) => sum + bytes.length / 512, 0);

describe('changes of a FAT directory', () => {
  it('show the old names or the new ones after each step, and end with the new ones', () => {
    const name = fc.constantFrom(
      ...['A', 'KEEL.EFI', 'keel-2.new', 'keel-2+1.conf', 'keel-12+0-1.conf', 'b'.repeat(40)],
      ...['c'.repeat(80), 'd.conf', 'e e e.conf', 'FFFFFFFF.GGG'],
    );
    const change = fc.record({
      kind: fc.constantFrom('add', 'add', 'rename', 'drop'),
      name,
      to: name,
    });
    let isSplit = false;
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), fc.nat(255), (changes, garbage) => {
        let bytes = empty();
        // What lies behind the end of a directory does not count, and must not come to count.
        bytes.fill(garbage, 96 + (garbage % 300));
        bytes.fill(0, 64, 96);
        for (const [index, { kind, name: from, to }] of changes.entries()) {
          const record = recordNamed(fatRecords(bytes), from);
          const isFree = recordNamed(fatRecords(bytes), to) === undefined;
          const made = {
            name: from,
            isDirectory: false,
            firstCluster: index + 9,
            sizeBytes: index,
          };
          const states =
            kind === 'add'
              ? record === undefined && withRecord(bytes, made)
              : record !== undefined &&
                (kind === 'drop'
                  ? withoutRecord(bytes, record)
                  : isFree && withName(bytes, record, to));
          if (states === false || states === undefined) continue;
          const before = shown(bytes);
          const after = shown(states.at(-1) ?? bytes);
          let last = bytes;
          let changedNames = 0;
          for (const state of states) {
            const isNew = shown(state).join() === after.join();
            assert.ok(isNew || shown(state).join() === before.join());
            if (shown(last).join() !== shown(state).join()) {
              changedNames += 1;
              assert.equal(sectorsBetween(last, state), 1);
            }
            last = state;
          }
          assert.ok(changedNames <= 1);
          const left = before.filter((one) => !after.includes(one));
          const come = after.filter((one) => !before.includes(one));
          const expected = { add: [0, 1], drop: [1, 0], rename: [1, 1] }[kind] ?? assert.fail();
          assert.deepEqual([left.length, come.length], expected);
          isSplit ||= fatRecords(last).some(({ lastEntry }) => lastEntry >= 16);
          bytes = last;
        }
      }),
      { numRuns: 300 },
    );
    assert.ok(isSplit, 'no directory came to its second sector');
  });

  it('leave unused entries before a name that would lie across two sectors', () => {
    let bytes = empty();
    for (let index = 0; index < 6; index += 1) {
      const record = { name: `f-${index}.conf`, isDirectory: false, firstCluster: 9, sizeBytes: 1 };
      bytes = withRecord(bytes, record)?.at(-1) ?? assert.fail();
    }
    const record = {
      name: 'a-name-of-three-entries',
      isDirectory: false,
      firstCluster: 9,
      sizeBytes: 1,
    };
    const states = withRecord(bytes, record) ?? assert.fail();
    assert.deepEqual(
      states.map((state, index) => sectorsBetween(states[index - 1] ?? bytes, state)),
      [0, 1, 1],
    );
    const placed = recordNamed(fatRecords(states.at(-1) ?? bytes), record.name);
    assert.deepEqual([placed?.firstEntry, placed?.lastEntry], [16, 18]);
  });

  it('are refused where there is no room', () => {
    let bytes: Buffer = Buffer.from(empty().subarray(0, 512));
    let count = 0;
    for (; count < 99; count += 1) {
      const record = { name: `f-${count}.conf`, isDirectory: false, firstCluster: 9, sizeBytes: 1 };
      const states = withRecord(bytes, record);
      if (states === undefined) break;
      bytes = states.at(-1) ?? bytes;
    }
    assert.equal(count, 7);
    const first = fatRecords(bytes)[0] ?? assert.fail();
    assert.equal(withName(bytes, first, 'x'.repeat(60)), undefined);
    assert.throws(() => withRecord(bytes, { ...first, name: 'x'.repeat(220) }), RangeError);
  });

  it('do not believe a long name that is not whole, or not of its short one', () => {
    const record = { name: 'a-long-name.conf', isDirectory: false, firstCluster: 9, sizeBytes: 1 };
    const good = withRecord(empty(), record)?.at(-1) ?? assert.fail();
    assert.deepEqual(
      fatRecords(good).map(({ name }) => name),
      ['a-long-name.conf'],
    );
    const breaks: readonly [string, (bytes: Buffer) => void][] = [
      ['first part gone', (bytes) => bytes.writeUInt8(0xe5, 64)],
      ['second part gone', (bytes) => bytes.writeUInt8(0xe5, 96)],
      ['another short name', (bytes) => bytes.write('B', 128, 'latin1')],
      ['another sum', (bytes) => bytes.writeUInt8((bytes[77] ?? 0) ^ 1, 77)],
      ['parts in the wrong order', (bytes) => bytes.writeUInt8(2, 96)],
    ];
    for (const [name, change] of breaks) {
      const bytes = Buffer.from(good);
      change(bytes);
      const [found] = fatRecords(bytes);
      assert.match(found?.name ?? '', /^[AB]-LONG~1\.CON$/, name);
    }
  });

  it('become few writes: sectors and clusters side by side are one', () => {
    const before = Buffer.alloc(4096);
    const after = Buffer.from(before);
    for (const at of [0, 600, 1030, 2048, 4095]) after[at] = 1;
    const writes = changedSectors(before, after, (at) => (at < 2048 ? at : at + 8192));
    assert.deepEqual(
      writes.map(({ offsetBytes, bytes }) => [offsetBytes, bytes.length]),
      [
        [0, 1536],
        [10_240, 512],
        [11_776, 512],
      ],
    );
    const runs = runsOf([5, 6, 7, 9, 2], {
      clusterBytes: 512,
      placeOf: (cluster) => cluster * 512,
    });
    assert.deepEqual(
      runs.map(({ offsetBytes, lengthBytes }) => [offsetBytes / 512, lengthBytes / 512]),
      [
        [5, 3],
        [9, 1],
        [2, 1],
      ],
    );
  });
});
