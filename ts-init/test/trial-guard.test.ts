import assert from 'node:assert/strict';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { decodeEspNote, ESP_NOTE, encodeEspNote } from '@keelos/proto/trial-traces.ts';
import { TRIAL_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import {
  type GuardEvent,
  type GuardState,
  guardStep,
  judgeTrial,
  LOADER_PATH_VARIABLE,
  loaderEntry,
  readTrialRecord,
  slotHash,
} from '../src/core/trial-guard.ts';
import { createTrialGuard } from '../src/shell/trial-guard.ts';
import { createTrialTraces } from '../src/shell/trial-traces.ts';
import { createFakeMachine, type FakeMachine } from './fake-machine.ts';

const NEW_ROOT = 'ab'.repeat(32);
const OLD_ROOT = 'cd'.repeat(32);
const RECORD = {
  to: { slot: 'b', version: '0.2.0', rootHash: NEW_ROOT },
  policy: { autoRollback: true, healthTimeoutSeconds: 120, minHealthySeconds: 10 },
  armedBootId: 'boot-1',
};
const VARIABLE = `/sys/firmware/efi/efivars/${LOADER_PATH_VARIABLE}`;

/** The variable as efivarfs gives it. */
function variable(path: string): Buffer {
  return Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from(`${path}\0`, 'utf16le')]);
}

describe('is this boot a trial?', () => {
  const view = readTrialRecord(RECORD);
  const entry = (left: number, done: number) => ({ sequence: 7, counter: { left, done } });
  const none = undefined;
  const running = { rootHash: NEW_ROOT, bootId: 'boot-2' };
  const cases: readonly (readonly [
    name: string,
    facts: Parameters<typeof judgeTrial>[0],
    expected: string,
  ])[] = [
    ['record of the running root', { ...running, record: view, entry: none }, 'record 150000'],
    ['and the loader agrees', { ...running, record: view, entry: entry(0, 1) }, 'record 150000'],
    ['committed, record left behind', { ...running, record: view, entry: entry(8, 1) }, 'no'],
    ['another root runs', { ...running, rootHash: OLD_ROOT, record: view, entry: none }, 'no'],
    ['no root is known', { ...running, rootHash: '', record: view, entry: none }, 'no'],
    ['armed in this boot', { ...running, bootId: 'boot-1', record: view, entry: none }, 'no'],
    [
      'no record, the try is spent',
      { ...running, record: none, entry: entry(0, 1) },
      'loader 330000',
    ],
    ['no record, tries are left', { ...running, record: none, entry: entry(8, 1) }, 'no'],
    ['no record, the last of nine', { ...running, record: none, entry: entry(0, 9) }, 'no'],
    ['no record, not counted', { ...running, record: none, entry: { sequence: 7 } }, 'no'],
    ['nothing is known', { ...running, record: none, entry: none }, 'no'],
  ];
  for (const [name, facts, expected] of cases) {
    it(`${name}: ${expected}`, () => {
      const verdict = judgeTrial(facts);
      const seen = verdict.isTrial ? `${verdict.knownFrom} ${verdict.deadlineMs}` : 'no';
      assert.equal(seen, expected);
    });
  }

  it('reads a record with a deadline of its own, and never one without', () => {
    const policies: readonly (readonly [policy: unknown, seconds: number])[] = [
      [RECORD.policy, 120],
      [{ healthTimeoutSeconds: 86_400 }, 86_400],
      [{ healthTimeoutSeconds: 86_401 }, 300],
      [{ healthTimeoutSeconds: 0 }, 300],
      [{ healthTimeoutSeconds: '9' }, 300],
      [{ healthTimeoutSeconds: Number.NaN }, 300],
      [undefined, 300],
    ];
    for (const [policy, seconds] of policies) {
      assert.equal(readTrialRecord({ ...RECORD, policy }).healthTimeoutSeconds, seconds);
    }
    const wrong = [null, 1, [], {}, { ...RECORD, to: {} }, { ...RECORD, armedBootId: 1 }];
    for (const payload of wrong) assert.throws(() => readTrialRecord(payload), RangeError);
  });

  it('reads what systemd-boot says of its entry', () => {
    const paths: readonly (readonly [path: string, expected: ReturnType<typeof loaderEntry>])[] = [
      ['\\loader\\entries\\keel-7+0-1.conf', entry(0, 1)],
      ['\\loader\\entries\\keel-12+8-1.conf', { ...entry(8, 1), sequence: 12 }],
      ['/loader/entries/KEEL-7+0-1.CONF', entry(0, 1)],
      ['\\EFI\\Linux\\other+0-1.efi', undefined],
      ['', undefined],
    ];
    for (const [path, expected] of paths) assert.deepEqual(loaderEntry(variable(path)), expected);
    assert.equal(loaderEntry(Buffer.alloc(0)), undefined);
    assert.equal(loaderEntry(Buffer.alloc(3)), undefined);
    assert.equal(loaderEntry(Buffer.alloc(100_000, 0x41)), undefined);
  });

  it('finds the root on the command line, and no longer or shorter one', () => {
    assert.equal(slotHash(`ro keel.slot-hash=${NEW_ROOT} x=1`), NEW_ROOT);
    assert.equal(slotHash(`keel.slot-hash=${NEW_ROOT}`), NEW_ROOT);
    for (const text of ['', `xkeel.slot-hash=${NEW_ROOT}`, `keel.slot-hash=${NEW_ROOT}0`]) {
      assert.equal(slotHash(text), '');
    }
  });
});

describe('the states of the guard', () => {
  const trial: GuardState = { phase: 'trial', deadlineMs: 150_000 };
  const givenUp: GuardState = { phase: 'given-up', deadlineMs: 160_000 };
  const judged = (isTrial: boolean, isCommitted = false): GuardEvent => ({
    type: 'judged',
    verdict: isTrial
      ? { isTrial, version: '2', deadlineMs: 150_000, knownFrom: 'record' }
      : { isTrial, why: '', isCommitted },
  });
  const settled = (outcome: 'committed' | 'given-up'): GuardEvent => ({ type: 'settled', outcome });
  const tick: GuardEvent = { type: 'tick' };
  const leave: GuardEvent = { type: 'leave' };
  const idle: GuardState = { phase: 'idle' };
  const done: GuardState = { phase: 'committed' };
  const leaving: GuardState = { phase: 'leaving' };
  type Row = readonly [GuardState, GuardEvent, nowMs: number, phase: string, effects: string];
  const rows: readonly Row[] = [
    [idle, judged(true), 5_000, 'trial 150000', 'begin-traces'],
    [idle, judged(false), 5_000, 'idle', ''],
    [idle, settled('committed'), 5_000, 'committed', 'drop-traces'],
    [idle, settled('given-up'), 5_000, 'idle', ''],
    [idle, leave, 5_000, 'idle', ''],
    [idle, tick, 999_999, 'idle', ''],
    [trial, judged(true), 5_000, 'trial 150000', ''],
    [trial, judged(false), 5_000, 'trial 150000', ''],
    [trial, judged(false, true), 5_000, 'committed', 'drop-traces'],
    [idle, judged(false, true), 5_000, 'idle', ''],
    [givenUp, judged(false, true), 101_000, 'given-up 160000', ''],
    [leaving, judged(false, true), 101_000, 'leaving', ''],
    [trial, tick, 149_999, 'trial 150000', ''],
    [trial, tick, 150_000, 'leaving', 'keep-traces leave'],
    [trial, settled('committed'), 149_999, 'committed', 'drop-traces'],
    [trial, settled('given-up'), 100_000, 'given-up 160000', 'keep-traces'],
    [trial, leave, 100_000, 'leaving', 'keep-traces'],
    [givenUp, tick, 159_999, 'given-up 160000', ''],
    [givenUp, tick, 160_000, 'leaving', 'keep-traces leave'],
    [givenUp, settled('given-up'), 159_000, 'given-up 160000', ''],
    [givenUp, settled('committed'), 159_000, 'given-up 160000', ''],
    [givenUp, leave, 101_000, 'leaving', 'keep-traces'],
    [done, judged(true), 5_000, 'committed', ''],
    [done, tick, 999_999, 'committed', ''],
    [done, leave, 999_999, 'committed', ''],
    [leaving, settled('committed'), 150_001, 'leaving', ''],
    [leaving, tick, 999_999, 'leaving', ''],
    [leaving, leave, 999_999, 'leaving', ''],
  ];
  for (const [state, event, nowMs, phase, effects] of rows) {
    const name = event.type === 'settled' ? event.outcome : event.type;
    it(`${state.phase}, ${name} at ${nowMs}: ${phase}`, () => {
      const next = guardStep(state, event, nowMs);
      const deadline = 'deadlineMs' in next.state ? ` ${next.state.deadlineMs}` : '';
      assert.equal(next.state.phase + deadline, phase);
      assert.equal(next.effects.join(' '), effects);
    });
  }
});

describe('guarding a trial', () => {
  const CLASS = '/sys/class/block';

  function guarded(files: Readonly<Record<string, string | Buffer>> = {}) {
    const machine = createFakeMachine({
      '/proc/cmdline': `ro keel.slot-hash=${NEW_ROOT}`,
      '/proc/sys/kernel/random/boot_id': 'boot-2\n',
      [`${CLASS}/vda1/partition`]: '1\n',
      [`${CLASS}/vda1/uevent`]: 'PARTN=1\nPARTNAME=keel-esp\n',
    });
    machine.files.links.set(`${CLASS}/vda1`, '../../devices/pci/virtio0/block/vda/vda1');
    for (const [path, content] of Object.entries(files)) {
      machine.files.contents.set(path, Buffer.from(content));
    }
    machine.blockDevices.devices.set('/dev/vda1', esp());
    const restarts: string[] = [];
    const traces = createTrialTraces(machine, () => ['cannot open the disk']);
    const restartMachine = (reason: string) => void restarts.push(reason);
    const guard = createTrialGuard({ machine, traces, restartMachine });
    return { machine, guard, restarts };
  }

  function esp(): Buffer {
    const bytes = Buffer.alloc(32 * 512);
    bytes.writeUInt16LE(512, 11);
    bytes.writeUInt16LE(32, 14);
    bytes.writeUInt16LE(0xaa55, 510);
    return bytes;
  }

  const note = (machine: FakeMachine) => {
    const { offsetBytes, sizeBytes } = ESP_NOTE;
    const bytes = machine.blockDevices.devices.get('/dev/vda1') ?? Buffer.alloc(0);
    return decodeEspNote(bytes.subarray(offsetBytes, offsetBytes + sizeBytes));
  };
  const record = encodeRecord(TRIAL_RECORD, RECORD);
  const { trialGivenUp, trialConsole, crashReport } = UPDATE_PATHS;

  it('restarts the machine at the deadline, with the reason and the console on the disk before', async () => {
    const { machine, guard, restarts } = guarded({
      [UPDATE_PATHS.trial]: record,
      [trialGivenUp]: 'an older one',
      [crashReport]: 'an older one',
    });
    machine.kernelLogReader.add(1.5, 'virtio_blk: vda');
    guard.look();
    await machine.clock.advance(149_000);
    machine.kernelLogReader.add(149.25, 'keel-init: service agent: exit 1');
    assert.deepEqual(restarts, []);
    assert.equal(machine.files.exists(trialGivenUp), false);
    assert.equal(machine.files.exists(crashReport), false);
    let isKeptBefore = false;
    restarts.push = (...reasons) => {
      isKeptBefore = machine.files.exists(trialGivenUp) && machine.files.exists(trialConsole);
      return Array.prototype.push.apply(restarts, reasons);
    };
    await machine.clock.advance(1_000);
    assert.match(
      restarts.join('\n'),
      /^the agent has not settled the trial in 150 s from the start/,
    );
    assert.ok(isKeptBefore);
    assert.match(machine.files.readText(trialGivenUp), /^20\d\d-\S+Z the agent has not settled/);
    assert.deepEqual(machine.files.readText(trialConsole).split('\n'), [
      '[    1.500000] virtio_blk: vda',
      '[  149.250000] keel-init: service agent: exit 1',
      'agent: cannot open the disk',
      '',
    ]);
    const written = note(machine);
    assert.ok(typeof written === 'object');
    assert.match(written.reason, /^the agent has not settled/);
    await guard.leaving('the machine was restarted: x');
    assert.match(machine.files.readText(trialGivenUp), /has not settled/);
  });

  it('restarts it also when timers come before their time, as those of Node do by a part of a millisecond', async () => {
    for (const settle of [false, true]) {
      const { machine, guard, restarts } = guarded({ [UPDATE_PATHS.trial]: record });
      const after = machine.clock.after.bind(machine.clock);
      let early = 0;
      machine.clock.after = (delayMs, callback) => {
        early += 1;
        return after(early <= 20 ? Math.max(0.01, delayMs - 0.7) : delayMs, callback);
      };
      guard.look();
      if (settle) guard.settle('given-up', 'probe "shop" is red');
      await machine.clock.advance(151_000);
      assert.equal(restarts.length, 1);
    }
  });

  it('ends a trial whose record was left behind, once the loader tells of a committed entry', async () => {
    const { machine, guard, restarts } = guarded({ [UPDATE_PATHS.trial]: record });
    guard.look();
    assert.equal(guard.isTrial, true);
    machine.files.contents.set(UPDATE_PATHS.trial, Buffer.from('damaged'));
    guard.look();
    assert.equal(guard.isTrial, true, 'a record that cannot be read any more ends nothing');
    machine.files.contents.set(UPDATE_PATHS.trial, record);
    machine.files.contents.set(VARIABLE, variable('\\x\\keel-7+8-1.conf'));
    guard.look();
    assert.equal(guard.isTrial, false);
    await machine.clock.advance(900_000);
    await guard.leaving('the machine was restarted: by an operator');
    assert.deepEqual(restarts, []);
    assert.equal(machine.files.exists(trialGivenUp), false);
    assert.equal(machine.files.exists(trialConsole), false);
    assert.match(machine.log.lines.join('\n'), /no trial, .*: the loader has started a committed/);
  });

  it('keeps the console while the trial runs, so that a hang leaves it', async () => {
    const { machine, guard } = guarded({ [UPDATE_PATHS.trial]: record });
    guard.look();
    machine.kernelLogReader.add(12, 'about to hang');
    await machine.clock.advance(10_001);
    assert.match(machine.files.readText(trialConsole), /about to hang/);
  });

  it('goes on without a state partition, and leaves its note on the EFI system partition', async () => {
    const { machine, guard, restarts } = guarded({ [VARIABLE]: variable('\\x\\keel-7+0-1.conf') });
    machine.files.stuck.add(trialGivenUp);
    machine.files.stuck.add(trialConsole);
    guard.look();
    await machine.clock.advance(329_999);
    assert.deepEqual(restarts, []);
    await machine.clock.advance(20_000);
    assert.equal(restarts.length, 1);
    assert.equal(typeof note(machine), 'object');
  });

  it('drops everything once the release is committed', async () => {
    const { machine, guard, restarts } = guarded({ [UPDATE_PATHS.trial]: record });
    guard.look();
    await machine.clock.advance(100_000);
    guard.settle('committed', '');
    // Known from the loader as well, which is mounted later.
    machine.files.contents.set(VARIABLE, variable('\\x\\keel-7+0-1.conf'));
    guard.look();
    await machine.clock.advance(900_000);
    await guard.leaving('the machine was restarted: by an operator');
    assert.deepEqual(restarts, []);
    assert.equal(machine.files.exists(trialConsole), false);
    assert.equal(machine.files.exists(trialGivenUp), false);
    assert.equal(note(machine), 'empty');
  });

  it("keeps the agent's reason, and restarts the machine itself when nobody does", async () => {
    const { machine, guard, restarts } = guarded({ [UPDATE_PATHS.trial]: record });
    guard.look();
    await machine.clock.advance(50_000);
    guard.settle('given-up', 'probe "shop" is red\nsince 40 s');
    await machine.clock.advance(1);
    assert.match(machine.files.readText(trialGivenUp), /Z probe "shop" is red since 40 s\n$/);
    await machine.clock.advance(59_999);
    assert.equal(restarts.length, 1);
    assert.match(machine.files.readText(trialGivenUp), /probe/);
  });

  it('says who restarted a machine that was in the middle of a trial', async () => {
    const { machine, guard } = guarded({ [UPDATE_PATHS.trial]: record });
    guard.look();
    await machine.clock.advance(20_000);
    await guard.leaving('the machine was restarted: ctrl-alt-del');
    assert.match(machine.files.readText(trialGivenUp), /restarted: ctrl-alt-del/);
  });

  it('does nothing in a boot that is no trial, and says what it cannot read', async () => {
    const cases: readonly (readonly [name: string, files: Record<string, Buffer>, log: RegExp])[] =
      [
        ['no record', {}, /^$/],
        ['a damaged record', { [UPDATE_PATHS.trial]: Buffer.from('x') }, /trial.*no header/],
        [
          'a record of another shape',
          { [UPDATE_PATHS.trial]: encodeRecord(TRIAL_RECORD, {}) },
          /trial.*to is not an object/,
        ],
        ['an entry of somebody else', { [VARIABLE]: variable('\\EFI\\x.efi') }, /^$/],
      ];
    for (const [name, files, log] of cases) {
      const { machine, guard, restarts } = guarded(files);
      guard.look();
      guard.settle('given-up', 'x');
      await machine.clock.advance(10_000_000);
      await guard.leaving('x');
      assert.deepEqual(restarts, [], name);
      assert.match(machine.log.lines.join('\n'), log, name);
      assert.equal(machine.files.exists(trialGivenUp), false, name);
      assert.equal(note(machine), 'empty', name);
    }
  });

  it('leaves a place that is in use alone', async () => {
    const { machine, guard } = guarded({ [UPDATE_PATHS.trial]: record });
    const bytes = machine.blockDevices.devices.get('/dev/vda1') ?? Buffer.alloc(0);
    bytes.fill(0x90, ESP_NOTE.offsetBytes);
    guard.look();
    await guard.leaving('x');
    assert.equal(note(machine), 'foreign');
    assert.match(machine.log.lines.join('\n'), /trial note: its place on \/dev\/vda1 is in use/);
    bytes.set(encodeEspNote({ timeMs: 1, reason: 'older' }), ESP_NOTE.offsetBytes);
    assert.equal(typeof note(machine), 'object');
  });
});
