import assert from 'node:assert/strict';
import {
  decodeEspNote,
  ESP_NOTE,
  encodeEspNote,
  parseCrashReport,
} from '@keelos/proto/trial-traces.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { joinCrash } from '../src/core/crash-report.ts';
import { kernelLogLine } from '../src/core/kernel-log-line.ts';
import { createTextTail, lastLines } from '../src/core/text-tail.ts';
import { keepCrashReports } from '../src/shell/crash-reports.ts';
import { createFakeMachine } from './fake-machine.ts';

const SECOND = 1_780_000_000;
const name = (part: number, second = SECOND) =>
  `dmesg-efi_pstore-${(second * 100 + part) * 1000 + 1}`;
const PANIC = [
  { name: name(1), text: 'Panic#1 Part1\n<0>[   21.5] Kernel panic - not syncing: dead\n' },
  { name: name(2), text: 'Panic#1 Part2\n<6>[   20.0] second\n<6>[   21.0] third\n' },
  { name: name(3), text: 'Panic#1 Part3\n<6>[    1.0] first\n' },
];
const PANIC_TEXT = [
  '[    1.0] first',
  '[   20.0] second',
  '[   21.0] third',
  '[   21.5] Kernel panic - not syncing: dead',
].join('\n');

describe("a crash's pieces", () => {
  it('are put together oldest first, in whatever order they are found', () => {
    assert.equal(joinCrash(PANIC), PANIC_TEXT);
    assert.equal(joinCrash(PANIC.toReversed()), PANIC_TEXT);
  });

  it('belong together although writing them took longer than a second', () => {
    const slow = PANIC.map((piece, index) => ({ ...piece, name: name(index + 1, SECOND + index) }));
    assert.equal(joinCrash(slow), PANIC_TEXT);
    // The same crash at every boot, one after the other.
    const earlier = PANIC.map(({ text }, index) => ({
      name: name(index + 1, SECOND - 30 + index),
      text: text.replaceAll('] ', '] earlier '),
    }));
    assert.equal(joinCrash([...slow, ...earlier]), PANIC_TEXT);
    assert.match(joinCrash(earlier), /^\[ {4}1.0\] earlier first/);
  });

  it('of the newest crash count; what is no piece is passed over', () => {
    const older = { name: name(1, SECOND - 60), text: 'Panic#1 Part1\nolder' };
    const others = [
      { name: 'console-ramoops-0', text: 'Panic#1 Part1\nx' },
      { name: name(9), text: 'no header' },
      { name: 'dmesg-efi_pstore-', text: 'Panic#1 Part1\nx' },
      { name: name(8), text: '' },
    ];
    assert.equal(joinCrash([older, ...PANIC, ...others]), PANIC_TEXT);
    assert.equal(joinCrash(others), '');
    assert.equal(joinCrash([]), '');
  });

  it('are cut at the beginning when they are too long', () => {
    const lines = Array.from({ length: 4_000 }, (_, index) => `line ${index}`).join('\n');
    const text = joinCrash([{ name: name(1), text: `Oops#1 Part1\n${lines}` }]);
    assert.ok(text.length <= 16_384 && text.length > 16_000);
    assert.ok(text.endsWith('line 3999'));
  });
});

describe('the tail of a text', () => {
  it('has as many of the last lines as fit', () => {
    assert.deepEqual(lastLines(['aa', 'bb', 'cc'], 6), ['bb', 'cc']);
    assert.deepEqual(lastLines(['aa', 'bb', 'cc'], 5), ['cc']);
    assert.deepEqual(lastLines(['ä'], 2), []);
    assert.deepEqual(lastLines([], 5), []);
    const tail = createTextTail(40);
    for (let index = 0; index < 1_000; index += 1) tail.push(`line ${index}`);
    assert.deepEqual(tail.lines(), ['line 996', 'line 997', 'line 998', 'line 999']);
  });

  it('reads records of the kernel log', () => {
    const cases: readonly (readonly [record: string, line: string | undefined])[] = [
      ['6,339,5140900,-;NET: up\n SUBSYSTEM=net\n', '[    5.140900] NET: up'],
      ['4,1,0,c,caller=T1;a;b', '[    0.000000] a;b'],
      ['12,7,123456789012,-;', '[123456.789012] '],
      ['', undefined],
      ['6,x,1,-;a', undefined],
    ];
    for (const [record, line] of cases) assert.equal(kernelLogLine(record), line);
  });
});

describe('keeping crash reports', () => {
  const CLASS = '/sys/class/block';
  const ON_DISK = { stateMode: 'disk', isTrial: false } as const;
  const NOTE = { timeMs: 1_780_000_000_000, reason: 'the checks did not pass' };

  function machineAfter(files: readonly { name: string; text: string }[], note?: typeof NOTE) {
    const machine = createFakeMachine({
      '/proc/sys/kernel/random/boot_id': 'b-3\n',
      [`${CLASS}/vda1/partition`]: '1\n',
      [`${CLASS}/vda1/uevent`]: 'PARTN=1\nPARTNAME=keel-esp\n',
      ...Object.fromEntries(files.map((file) => [`/sys/fs/pstore/${file.name}`, file.text])),
    });
    machine.files.links.set(`${CLASS}/vda1`, '../../devices/pci/virtio0/block/vda/vda1');
    const esp = Buffer.alloc(32 * 512);
    esp.writeUInt16LE(512, 11);
    esp.writeUInt16LE(32, 14);
    esp.writeUInt16LE(0xaa55, 510);
    if (note !== undefined) esp.set(encodeEspNote(note), ESP_NOTE.offsetBytes);
    machine.blockDevices.devices.set('/dev/vda1', esp);
    const place = () =>
      decodeEspNote(esp.subarray(ESP_NOTE.offsetBytes, ESP_NOTE.offsetBytes + ESP_NOTE.sizeBytes));
    return { machine, place };
  }

  it('moves a crash to the state partition and gives the firmware its room back', async () => {
    const { machine } = machineAfter(PANIC);
    await keepCrashReports(machine, ON_DISK);
    const report = parseCrashReport(machine.files.readText(UPDATE_PATHS.crashReport));
    assert.deepEqual(report, { foundInBoot: 'b-3', text: PANIC_TEXT });
    assert.deepEqual(machine.files.list('/sys/fs/pstore'), []);
    assert.match(machine.log.lines.join('\n'), /crashed: .*Kernel panic - not syncing: dead/);
  });

  it('leaves it where it is when it could not be written, or only into memory', async () => {
    for (const mode of ['memory', 'read-only'] as const) {
      const { machine } = machineAfter(PANIC);
      await keepCrashReports(machine, { stateMode: mode, isTrial: false });
      assert.equal(machine.files.list('/sys/fs/pstore').length, 3, mode);
    }
    const full = machineAfter(PANIC);
    full.machine.files.broken.set(UPDATE_PATHS.crashReport, 'ENOSPC');
    await keepCrashReports(full.machine, ON_DISK);
    assert.equal(full.machine.files.list('/sys/fs/pstore').length, 3);
    const slow = machineAfter(PANIC);
    slow.machine.files.stuck.add(UPDATE_PATHS.crashReport);
    const work = keepCrashReports(slow.machine, ON_DISK);
    await slow.machine.clock.advance(20_000);
    await work;
    assert.equal(slow.machine.files.list('/sys/fs/pstore').length, 3);
  });

  it('drops old traces when no trial waits for them', async () => {
    for (const isWaiting of [true, false]) {
      const { machine } = machineAfter([]);
      const { crashReport, trialConsole, trialGivenUp } = UPDATE_PATHS;
      for (const path of [crashReport, trialConsole, trialGivenUp]) {
        machine.files.contents.set(path, Buffer.from('old'));
      }
      if (isWaiting) machine.files.contents.set(UPDATE_PATHS.trial, Buffer.from('x'));
      await keepCrashReports(machine, ON_DISK);
      for (const path of [crashReport, trialConsole, trialGivenUp]) {
        assert.equal(machine.files.exists(path), isWaiting, path);
      }
    }
  });

  it('keeps nothing for the trial that runs, since all of it is older, and gives the places free', async () => {
    const { machine, place } = machineAfter(PANIC, NOTE);
    machine.files.contents.set(UPDATE_PATHS.trial, Buffer.from('x'));
    await keepCrashReports(machine, { stateMode: 'disk', isTrial: true });
    for (const path of [UPDATE_PATHS.crashReport, UPDATE_PATHS.trialGivenUp]) {
      assert.equal(machine.files.exists(path), false, path);
    }
    assert.deepEqual(machine.files.list('/sys/fs/pstore'), []);
    assert.equal(place(), 'empty');
    assert.match(machine.log.lines.join('\n'), /crashed: .*Kernel panic/);
  });

  it('takes the note of the EFI system partition when the state partition has no line', async () => {
    const cases: readonly (readonly [
      name: string,
      mode: 'disk' | 'memory',
      line: string | undefined,
      expected: RegExp,
      left: string,
    ])[] = [
      ['state partition as before', 'disk', 'mine', /^mine$/, 'empty'],
      ['state partition made anew', 'disk', undefined, /^2026-05-28T\S+Z the checks did/, 'empty'],
      ['no state partition', 'memory', undefined, /^2026-05-28T\S+Z the checks did/, 'a note'],
    ];
    for (const [title, mode, line, expected, left] of cases) {
      const { machine, place } = machineAfter([], NOTE);
      machine.files.contents.set(UPDATE_PATHS.trial, Buffer.from('x'));
      if (line !== undefined)
        machine.files.contents.set(UPDATE_PATHS.trialGivenUp, Buffer.from(line));
      await keepCrashReports(machine, { stateMode: mode, isTrial: false });
      assert.match(machine.files.readText(UPDATE_PATHS.trialGivenUp), expected, title);
      const found = place();
      assert.equal(typeof found === 'object' ? 'a note' : found, left, title);
    }
  });

  it('goes on when the EFI system partition hangs', async () => {
    const { machine } = machineAfter([]);
    machine.blockDevices.stuck.add('/dev/vda1');
    const work = keepCrashReports(machine, ON_DISK);
    await machine.clock.advance(3_000);
    await work;
  });
});
