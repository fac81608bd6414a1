import assert from 'node:assert/strict';
import type { EntryName } from '@keelos/proto/boot-entry.ts';
import {
  afterOneTry,
  compareEntries,
  entryFileName,
  entryText,
  isSpent,
  kernelImagePath,
  parseEntryFileName,
  parseEntryText,
  SEQUENCE_MAX,
  unarmedFileName,
} from '@keelos/proto/boot-entry.ts';
import fc from 'fast-check';

const named = (name: string): EntryName => {
  const found = parseEntryFileName(name);
  assert.ok(found, name);
  return found;
};

describe('boot-loader entries', () => {
  it('have names with a sequence and a counter', () => {
    const cases: readonly [string, EntryName | undefined][] = [
      ['keel-7.conf', { sequence: 7 }],
      ['keel-7+1.conf', { sequence: 7, counter: { left: 1, done: 0 } }],
      ['keel-7+0-1.conf', { sequence: 7, counter: { left: 0, done: 1 } }],
      ['KEEL-12+9.CONF', { sequence: 12, counter: { left: 9, done: 0 } }],
      ['keel-99999999+8-1.conf', { sequence: SEQUENCE_MAX, counter: { left: 8, done: 1 } }],
      ...[
        ...['keel-0.conf', 'keel-07.conf', 'keel-7+.conf', 'keel-7-1.conf', 'keel-7+1-.conf'],
        ...['keel-7+1.new', 'keel-7.new', 'keel-7+1.conf~', 'xkeel-7.conf', 'keel-100000000.conf'],
        ...['other.conf', '', 'keel-.conf', 'keel-7+1 .conf'],
      ].map((name): [string, undefined] => [name, undefined]),
    ];
    for (const [name, expected] of cases)
      assert.deepEqual(parseEntryFileName(name), expected, name);
  });

  it('are named back as they were read', () => {
    const counter = fc.record({ left: fc.nat(999_999_999), done: fc.nat(999_999_999) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: SEQUENCE_MAX }),
        fc.option(counter, { nil: undefined }),
        (sequence, count) => {
          const name = { sequence, ...(count === undefined ? {} : { counter: { ...count } }) };
          assert.deepEqual(named(entryFileName(name)), name);
        },
      ),
    );
    for (const sequence of [0, -1, 1.5, SEQUENCE_MAX + 1, Number.NaN]) {
      assert.throws(() => entryFileName({ sequence }), RangeError);
    }
    assert.equal(unarmedFileName(7), 'keel-7.new');
    assert.equal(parseEntryFileName(unarmedFileName(7)), undefined);
  });

  it('come in the order of the loader', () => {
    const sorted = [
      ...['keel-10+1.conf', 'keel-9.conf', 'keel-8+9.conf', 'keel-2+1-8.conf'],
      ...['keel-11+0-1.conf', 'keel-3+0-9.conf', 'keel-1+0.conf'],
    ];
    const names = sorted.map(named);
    assert.deepEqual(names.toReversed().toSorted(compareEntries).map(entryFileName), sorted);
    assert.deepEqual(names.map(isSpent), [false, false, false, false, true, true, true]);
  });

  it('lose a try at every start, down to none', () => {
    const walk = (name: string, count: number) =>
      Array.from({ length: count }).reduce<string>(
        (one) => entryFileName(afterOneTry(named(one))),
        name,
      );
    const cases: readonly [string, number, string][] = [
      ['keel-7+1.conf', 1, 'keel-7+0-1.conf'],
      ['keel-7+9.conf', 1, 'keel-7+8-1.conf'],
      ['keel-7+9.conf', 9, 'keel-7+0-9.conf'],
      ['keel-7+9.conf', 12, 'keel-7+0-12.conf'],
      ['keel-7.conf', 3, 'keel-7.conf'],
    ];
    for (const [from, count, to] of cases) assert.equal(walk(from, count), to);
  });

  it('say which release and which kernel image', () => {
    const uki = kernelImagePath('0123456789abcdef'.repeat(4));
    assert.equal(uki, 'EFI/keel/01234567.efi');
    assert.deepEqual(parseEntryText(entryText({ version: '1.2.3', uki })), {
      version: '1.2.3',
      uki,
    });
    const cases: readonly [string, ReturnType<typeof parseEntryText>][] = [
      ['efi \\EFI\\keel\\a.efi\r\n', { version: '', uki: 'EFI/keel/a.efi' }],
      ['# efi /no\nversion 1\nefi   /a b.efi  \nunknown x', { version: '1', uki: 'a b.efi' }],
      ['title x\nversion 1\n', undefined],
      ['', undefined],
      [`efi /a\n${' '.repeat(5000)}`, undefined],
    ];
    for (const [text, expected] of cases) assert.deepEqual(parseEntryText(text), expected, text);
    for (const hash of ['', 'ab', 'AB'.repeat(32), '../'.repeat(30)]) {
      assert.throws(() => kernelImagePath(hash), TypeError);
    }
  });
});
