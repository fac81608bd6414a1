import assert from 'node:assert/strict';
import {
  BOOT_ORDER,
  judgeLadder,
  optionNumber,
  optionVariable,
  planLadder,
  wantedOptions,
} from '@keelos/ts-agent/core/boot-options.ts';
import {
  decodeLoadOption,
  encodeLoadOption,
  type LoadOption,
} from '@keelos/ts-agent/core/load-option.ts';
import { BootLadder, type LoaderControl } from '@keelos/ts-agent/shell/boot-ladder.ts';
import { LADDER_CHECK_MS, LadderWatch } from '@keelos/ts-agent/shell/ladder-watch.ts';
import fc from 'fast-check';
import { FakeWorld, ROOT_HASH } from './agent-fixture.ts';
import { ESP_PARTITION } from './boot-disk.ts';

const WANTED = wantedOptions(ESP_PARTITION, { version: '0.1.0', rootHash: ROOT_HASH });
const bytesOf = (option: Partial<LoadOption>) =>
  encodeLoadOption({ ...(WANTED[0] ?? assert.fail()), ...option });
/** Copies of the loader that are in order. */
const WHOLE: LoaderControl = {
  mendLoaders: async () => ({ verdict: { kind: 'equal', sha256: 'ab' } }),
};
const STRANGER = bytesOf({ description: 'UEFI Shell', path: 'shell.efi' });

/** The firmware after a plan. */
function applied(firmware: { order: number[]; options: Map<number, Uint8Array> }) {
  const options = new Map(firmware.options);
  let order = firmware.order;
  const plan = planLadder(firmware, WANTED);
  for (const change of plan) {
    const number = optionNumber(change.name);
    if (change.kind === 'remove') options.delete(number ?? -1);
    else if (number !== undefined) options.set(number, change.data);
    else order = [...new Uint16Array(Uint8Array.from(change.data).buffer)];
  }
  return { plan, order, options };
}

describe('the ladder of boot options', () => {
  it('is made, mended and left alone', () => {
    const [loader, second, kernel] = WANTED.map(encodeLoadOption);
    assert.ok(loader && second && kernel);
    const old = bytesOf({ description: 'KeelOS 0.0.9', path: 'EFI/keel/00000000.efi' });
    const inactive = bytesOf({ isActive: false });
    const elsewhere = bytesOf({
      partition: { ...ESP_PARTITION, guid: 'ffffffff-ffff-4fff-8fff-ffffffffffff' },
    });
    const withData = Buffer.concat([kernel, Buffer.from('x')]);
    const cases: readonly [string, number[], [number, Uint8Array][], number[], number][] = [
      ['nothing', [], [], [0, 1, 2], 4],
      [
        'in order',
        [5, 6, 7, 1],
        [
          [5, loader],
          [6, second],
          [7, kernel],
          [1, STRANGER],
        ],
        [5, 6, 7, 1],
        0,
      ],
      [
        'strangers first',
        [1, 5, 6, 7],
        [
          [1, STRANGER],
          [5, loader],
          [6, second],
          [7, kernel],
        ],
        [5, 6, 7, 1],
        1,
      ],
      [
        'numbers taken',
        [0],
        [
          [0, STRANGER],
          [2, STRANGER],
        ],
        [1, 3, 4, 0],
        4,
      ],
      [
        'an older release',
        [0, 1, 2],
        [
          [0, loader],
          [1, second],
          [2, old],
        ],
        [0, 1, 2],
        1,
      ],
      [
        'twice',
        [0, 1, 2, 3],
        [
          [0, loader],
          [1, second],
          [2, kernel],
          [3, loader],
        ],
        [0, 1, 2],
        2,
      ],
      [
        'not active',
        [0, 1, 2],
        [
          [0, inactive],
          [1, second],
          [2, kernel],
        ],
        [0, 1, 2],
        1,
      ],
      [
        'another disk',
        [0, 1, 2],
        [
          [0, elsewhere],
          [1, second],
          [2, kernel],
        ],
        [0, 1, 2],
        1,
      ],
      [
        'with a command line',
        [0, 1, 2],
        [
          [0, loader],
          [1, second],
          [2, withData],
        ],
        [0, 1, 2],
        1,
      ],
      [
        'order lost',
        [],
        [
          [0, loader],
          [1, second],
          [2, kernel],
        ],
        [0, 1, 2],
        1,
      ],
      [
        'garbage',
        [0, 1],
        [
          [0, Buffer.from('abc')],
          [1, Buffer.alloc(0)],
        ],
        [2, 3, 4, 0, 1],
        4,
      ],
    ];
    for (const [name, order, options, expected, changes] of cases) {
      const after = applied({ order, options: new Map(options) });
      assert.deepEqual(after.order, expected, name);
      assert.equal(after.plan.length, changes, name);
      const rungs = judgeLadder(after, WANTED);
      assert.ok(
        rungs.every(({ isCorrect }) => isCorrect),
        name,
      );
      assert.deepEqual(planLadder(after, WANTED), [], `${name}, again`);
      const isRight = judgeLadder({ order, options: new Map(options) }, WANTED).every(
        ({ isCorrect }) => isCorrect,
      );
      // One too many does no harm behind the others, and goes all the same.
      assert.equal(isRight, changes === 0 || name === 'twice', name);
    }
  });

  it('is right after one repair, whatever the firmware had, and keeps what is not ours in its order', () => {
    const option = fc.oneof(
      fc.constantFrom(...WANTED.map(encodeLoadOption), STRANGER, bytesOf({ isActive: false })),
      fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.nat(9), option), { selector: ([number]) => number }),
        fc.uniqueArray(fc.nat(9)),
        (options, order) => {
          const after = applied({ order, options: new Map(options) });
          assert.ok(judgeLadder(after, WANTED).every(({ isCorrect }) => isCorrect));
          assert.deepEqual(planLadder(after, WANTED), []);
          const kept = after.order.slice(3);
          assert.deepEqual(
            order.filter((number) => kept.includes(number)),
            kept,
          );
          for (const [number, bytes] of options) {
            if (/^KeelOS/.test(decodeLoadOption(bytes)?.description ?? '')) continue;
            assert.deepEqual(after.options.get(number), bytes);
          }
        },
      ),
    );
  });

  it('has options that are read back, and anything else is read in bounds', () => {
    for (const option of WANTED) {
      const bytes = encodeLoadOption(option);
      assert.deepEqual(decodeLoadOption(bytes), { ...option, dataBytes: 0 });
      for (let length = 0; length < bytes.length; length += 1)
        decodeLoadOption(bytes.subarray(0, length));
      for (let at = 0; at < bytes.length; at += 1) {
        const broken = Buffer.from(bytes);
        broken.writeUInt8((broken[at] ?? 0) ^ 0xff, at);
        decodeLoadOption(broken);
      }
    }
    assert.throws(() => bytesOf({ description: 'x'.repeat(129) }), RangeError);
    const names: readonly [string, number | undefined][] = [
      [optionVariable(0x1a), 0x1a],
      ['Boot001A-8be4df61-93ca-11d2-aa0d-00e098032b8c', 0x1a],
      ['Boot001a-8be4df61-93ca-11d2-aa0d-00e098032b8c', undefined],
      ['BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c', undefined],
      [BOOT_ORDER, undefined],
    ];
    for (const [name, number] of names) assert.equal(optionNumber(name), number, name);
  });

  it('is mended through the firmware, and written only when it is wrong', async () => {
    const world = new FakeWorld();
    const ladder = new BootLadder(world.ports(), WHOLE);
    const committed = { version: '0.2.0', rootHash: 'cd'.repeat(32) };
    assert.ok((await ladder.check()).rungs.every(({ isCorrect }) => isCorrect));
    const before = await ladder.check(committed);
    assert.deepEqual(
      before.rungs.map(({ isCorrect }) => isCorrect),
      [true, true, false],
    );
    assert.deepEqual(await ladder.repair(committed), [], 'another release, and no damage');
    const after = await ladder.check(committed);
    assert.deepEqual(
      after.rungs.map(({ description, number }) => [description, number]),
      [
        ['KeelOS', 0],
        ['KeelOS (second loader)', 1],
        ['KeelOS 0.2.0', 2],
      ],
    );
    assert.deepEqual(world.variables.calls, [`write ${optionVariable(2)}`]);
    await ladder.repair(committed);
    assert.equal(world.variables.calls.length, 1);
    world.variables.variables.clear();
    assert.deepEqual(
      (await ladder.check()).rungs.map(({ number }) => number),
      [undefined, undefined, undefined],
    );
    assert.deepEqual(await ladder.repair(committed), [
      'The firmware had lost or changed its boot options "KeelOS" and "KeelOS (second loader)".',
    ]);
    assert.ok((await ladder.check()).rungs.every(({ isCorrect }) => isCorrect));
    world.variables.isAvailable = false;
    assert.deepEqual(await ladder.repair(committed), []);
    assert.deepEqual((await ladder.check()).rungs, []);
  });

  it('is looked at seldom while it is in order', async () => {
    const world = new FakeWorld();
    const ladder = new BootLadder(world.ports(), WHOLE);
    await ladder.repair({ version: '0.1.0', rootHash: ROOT_HASH });
    const watch = new LadderWatch(ladder, world.clock);
    const isRight = async () => (await watch.facts()).rungs.every(({ isCorrect }) => isCorrect);
    assert.equal(await isRight(), true);
    const kept = world.variables.variables.get(BOOT_ORDER);
    world.variables.variables.delete(BOOT_ORDER);
    assert.equal(await isRight(), true);
    world.clock.advance(LADDER_CHECK_MS);
    assert.equal(await isRight(), false);
    world.variables.variables.set(BOOT_ORDER, kept ?? assert.fail());
    assert.equal(await isRight(), true);
  });
});
