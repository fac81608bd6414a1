import assert from 'node:assert/strict';
import { parseEntryFileName } from '@keelos/proto/boot-entry.ts';
import type { BootChange, BootPicture, PictureEntry } from '@keelos/ts-agent/core/boot-state.ts';
import {
  isKernelImageName,
  nextEntry,
  planArm,
  planCommit,
  planDisarm,
  planPutBack,
  planRemove,
  runningEntry,
  sequenceAfter,
  showsSpentTry,
} from '@keelos/ts-agent/core/boot-state.ts';
import { slotFacts } from '@keelos/ts-agent/core/slot-facts.ts';

const HASH = { a: 'a'.repeat(64), b: 'b'.repeat(64), c: 'c'.repeat(64) };
const UKI = { a: 'EFI/keel/aaaaaaaa.efi', b: 'EFI/keel/bbbbbbbb.efi', c: 'EFI/keel/cccccccc.efi' };
type Root = keyof typeof HASH;

/** "keel-7+9.conf a" is an entry that starts root a; with "!" its kernel image is missing. */
function entry(text: string): PictureEntry {
  const [fileName = '', root = 'a'] = text.split(' ');
  const isImageThere = !text.includes('!');
  const known = root.replace('!', '') as Root;
  return {
    fileName,
    version: `1-${known}`,
    uki: UKI[known],
    isImageThere,
    name: parseEntryFileName(fileName) ?? assert.fail(fileName),
    ...(isImageThere ? { rootHash: HASH[known] } : {}),
    ...(isImageThere && known !== 'c' ? { slot: known } : {}),
  };
}

/** The node runs root a from slot A. */
function picture(texts: readonly string[], change: Partial<BootPicture> = {}): BootPicture {
  const entries = texts.map(entry);
  const own = runningEntry(entries, { rootHash: HASH.a });
  const place = { device: '/dev/vda2', sizeBytes: 512, guid: '' };
  return {
    running: {
      ...place,
      slot: 'a',
      version: '1-a',
      rootHash: HASH.a,
      ...(own === undefined ? {} : { entry: own }),
    },
    other: { ...place, slot: 'b', device: '/dev/vda3' },
    entries,
    unarmed: [],
    isCounting: true,
    kernelImages: Object.values(UKI),
    nextSequence: sequenceAfter(texts.map((text) => text.split(' ')[0] ?? '')),
    ...change,
  };
}

const shown = (changes: readonly BootChange[]) =>
  changes.map((change) => {
    const place = change.path.replace('loader/entries/', '').replace('EFI/keel/', '');
    if (change.kind === 'rename') return `${place} -> ${change.newName}`;
    const uki = change.kind === 'write' ? ` ${/efi \/(.*)/.exec(change.text)?.[1]}` : '';
    return `${change.kind} ${place}${uki}`;
  });

describe('plans for loader entries', () => {
  it('put tries back, and give an entry to a running system that has none', () => {
    const cases: readonly [readonly string[], readonly string[]][] = [
      [['keel-7+9.conf a'], []],
      [['KEEL-7+9.CONF a'], []],
      [['keel-7+8-1.conf a', 'keel-6+9.conf b'], ['keel-7+8-1.conf -> keel-7+9.conf']],
      [['keel-7+0-9.conf a'], ['keel-7+0-9.conf -> keel-7+9.conf']],
      [['keel-7.conf a'], ['keel-7.conf -> keel-7+9.conf']],
      [['keel-6+8-1.conf a', 'keel-7+0-9.conf b'], ['keel-6+8-1.conf -> keel-6+9.conf']],
      [[], [`write keel-1.new ${UKI.a}`, 'keel-1.new -> keel-1+9.conf']],
      [['keel-4+9.conf b'], [`write keel-5.new ${UKI.a}`, 'keel-5.new -> keel-5+9.conf']],
    ];
    for (const [entries, expected] of cases) {
      assert.deepEqual(shown(planPutBack(picture(entries))), expected, entries.join());
    }
  });

  it('disarm: other entries first, then kernel images that nothing names, never those of the running system', () => {
    const rest = ['remove bbbbbbbb.efi', 'remove cccccccc.efi'];
    const cases: readonly [readonly string[], Partial<BootPicture>, readonly string[]][] = [
      [['keel-7+9.conf a'], {}, rest],
      [['keel-7+9.conf a', 'keel-6+9.conf b'], {}, ['remove keel-6+9.conf', ...rest]],
      [
        ['keel-8+1.conf b', 'keel-7+9.conf a', 'keel-3+9.conf a'],
        { unarmed: ['keel-9.new'] },
        ['remove keel-8+1.conf', 'remove keel-3+9.conf', 'remove keel-9.new', ...rest],
      ],
      [['keel-7+9.conf a'], { kernelImages: ['EFI/keel/AAAAAAAA.EFI'] }, []],
      [
        ['keel-6+9.conf b'],
        {},
        [
          ...[`write keel-7.new ${UKI.a}`, 'keel-7.new -> keel-7+9.conf', 'remove keel-6+9.conf'],
          ...rest,
        ],
      ],
    ];
    for (const [entries, change, expected] of cases) {
      assert.deepEqual(shown(planDisarm(picture(entries, change))), expected, entries.join());
    }
    assert.deepEqual(
      ['01234567.efi', 'X.EFI', 'loader.efi', 'LOADER.EFI', 'a.txt'].map(isKernelImageName),
      [true, true, false, false, false],
    );
  });

  it('arm with one rename at the end', () => {
    const arming = { sequence: 8, version: '2', rootHash: HASH.b };
    const there = picture(['keel-7+9.conf a']);
    const expected = [`write keel-8.new ${UKI.b}`, 'keel-8.new -> keel-8+1.conf'];
    assert.deepEqual(shown(planArm(there, arming)), expected);
    assert.deepEqual(shown(planArm({ ...there, unarmed: ['KEEL-8.NEW'] }, arming)), [
      'remove keel-8.new',
      ...expected,
    ]);
  });

  it('commit with one rename at the start', () => {
    const cases: readonly [readonly string[], number, readonly string[]][] = [
      [['keel-8+0-1.conf a', 'keel-7+9.conf b'], 8, ['keel-8+0-1.conf -> keel-8+9.conf']],
      [['keel-8+9.conf a'], 8, []],
      [['keel-7+9.conf b'], 8, [`write keel-8.new ${UKI.a}`, 'keel-8.new -> keel-8+9.conf']],
      [
        ['keel-8+0-1.conf a', 'keel-7+9.conf b', 'keel-6+9.conf a'],
        8,
        ['keel-8+0-1.conf -> keel-8+9.conf', 'remove keel-6+9.conf'],
      ],
      [['keel-8+9.conf a', 'keel-8+0-1.conf a'], 8, ['remove keel-8+0-1.conf']],
    ];
    for (const [entries, sequence, expected] of cases) {
      assert.deepEqual(shown(planCommit(picture(entries), sequence)), expected, entries.join());
    }
  });

  it('remove an entry, and its kernel image when nobody else needs it', () => {
    const cases: readonly [readonly string[], number, readonly string[]][] = [
      [
        ['keel-7+9.conf a', 'keel-8+0-1.conf b'],
        8,
        ['remove keel-8+0-1.conf', 'remove bbbbbbbb.efi'],
      ],
      [['keel-7+9.conf a', 'keel-8+0-1.conf b', 'keel-6+9.conf b'], 8, ['remove keel-8+0-1.conf']],
      [['keel-7+9.conf a', 'keel-8+0-1.conf a'], 8, ['remove keel-8+0-1.conf']],
      [['keel-7+9.conf a'], 8, []],
    ];
    for (const [entries, sequence, expected] of cases) {
      assert.deepEqual(shown(planRemove(picture(entries), sequence)), expected, entries.join());
    }
  });

  it('know which entry is next, and which is the running one', () => {
    const cases: readonly [readonly string[], string | undefined, string | undefined][] = [
      [['keel-8+1.conf b', 'keel-7+9.conf a'], 'keel-8+1.conf', 'keel-7+9.conf'],
      [['keel-8+1.conf b!', 'keel-7+9.conf a'], 'keel-7+9.conf', 'keel-7+9.conf'],
      [['keel-7+9.conf b'], 'keel-7+9.conf', undefined],
      [[], undefined, undefined],
    ];
    for (const [texts, next, running] of cases) {
      const there = picture(texts);
      assert.deepEqual(
        [nextEntry(there)?.fileName, there.running.entry?.fileName],
        [next, running],
      );
    }
    const two = ['keel-8+0-1.conf a', 'keel-3+9.conf a'].map(entry);
    const chosen = (loaderSelected?: string) =>
      runningEntry(two, {
        rootHash: HASH.a,
        ...(loaderSelected === undefined ? {} : { loaderSelected }),
      })?.name.sequence;
    assert.deepEqual([chosen('keel-8+1.conf'), chosen('keel-3+9.conf'), chosen()], [8, 3, 3]);
    const names = ['keel-3+9.conf', 'keel-12+0-1.conf', 'keel-40.new'];
    assert.deepEqual([sequenceAfter(names), sequenceAfter([])], [41, 1]);
  });

  it('see whether the loader counts', () => {
    const cases: readonly [string | undefined, string | undefined, boolean | undefined][] = [
      ['keel-7+8-1.conf', 'keel-7+9.conf', true],
      ['keel-7+0-1.conf', 'keel-7+1.conf', true],
      ['keel-7+0-10.conf', 'keel-7+0-9.conf', true],
      ['keel-7+0-9.conf', 'keel-7+0-9.conf', false],
      ['keel-7+8-1.conf', 'keel-7.conf', true],
      ['keel-7+9.conf', 'keel-7+9.conf', false],
      ['keel-7+1.conf', 'keel-7+1.conf', false],
      ['keel-7+7-2.conf', 'keel-7+9.conf', false],
      ['keel-7.conf', 'keel-7.conf', undefined],
      ['keel-7+8-1.conf', undefined, undefined],
      ['keel-7+8-1.conf', 'keel-6+9.conf', undefined],
      ['keel-7+8-1.conf', 'other.conf', undefined],
      [undefined, 'keel-7+9.conf', undefined],
    ];
    for (const [there, selected, expected] of cases) {
      const found = there === undefined ? undefined : entry(`${there} a`);
      assert.equal(showsSpentTry(found, selected), expected, `${there} ${selected}`);
    }
  });

  it('tell what is in both slots', () => {
    const trial = { trialRootHash: HASH.b };
    const cases: readonly [readonly string[], object, readonly string[]][] = [
      [['keel-7+9.conf a'], {}, ['a committed next 9', 'b empty']],
      [['keel-7+9.conf a'], { partialSlot: 'b' }, ['a committed next 9', 'b partial']],
      [['keel-8+1.conf b', 'keel-7+9.conf a'], trial, ['a committed 9', 'b armed next 1']],
      [['keel-7+9.conf a', 'keel-8+0-1.conf b'], trial, ['a committed next 9', 'b failed 0']],
      [['keel-7+9.conf a', 'keel-6+9.conf b'], {}, ['a committed next 9', 'b committed 9']],
      [['keel-7+0-1.conf a'], { trialRootHash: HASH.a }, ['a trial next 0', 'b empty']],
      [['keel-8+9.conf b!', 'keel-7.conf a'], {}, ['a committed next', 'b empty']],
    ];
    for (const [texts, knowledge, expected] of cases) {
      const seen = slotFacts(picture(texts), knowledge).map((slot) =>
        [slot.slot, slot.state, slot.isNext ? 'next' : '', slot.triesLeft ?? '']
          .join(' ')
          .replace(/ +/g, ' ')
          .trim(),
      );
      assert.deepEqual(seen, expected, texts.join());
    }
  });
});
