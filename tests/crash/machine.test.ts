/** The model of firmware, loader and kernel, and its FAT driver against other people's tools. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entryText, kernelImagePath } from '@keelos/proto/boot-entry.ts';
import { findCommand } from '../../scripts/lib/apt.mjs';
import { tool } from '../src/disk.ts';
import { runProgram } from '../src/program.ts';
import { checkFat } from './fat-check.ts';
import { FirmwareFat } from './firmware-fat.ts';
import { DEVICES, EXTENTS, extentOf, FIRMWARE_DEVICE, freshMedium } from './fresh-medium.ts';
import { Hardware } from './hardware.ts';
import { loaderEntries, Machine, SELECTED_VARIABLE } from './machine.ts';
import type { Medium } from './medium.ts';
import { type Behaviour, makeRelease, type Release } from './releases.ts';

const { privateKey: key } = generateKeyPairSync('ed25519');
const good = makeRelease({ number: 1, behaviour: 'healthy', key });
const ESP = extentOf(DEVICES.esp);

function machineOn(medium: Medium, ...releases: readonly Release[]) {
  const hardware = new Hardware(medium, EXTENTS);
  const known = new Map([good, ...releases].map((release) => [release.rootHash, release]));
  return { hardware, machine: new Machine(hardware, known) };
}

const espOf = (hardware: Hardware) =>
  new FirmwareFat(hardware.device(FIRMWARE_DEVICE), ESP.offsetBytes);
const entryNames = (hardware: Hardware) =>
  loaderEntries(espOf(hardware)).map(({ fileName }) => fileName);

describe('a machine that starts', () => {
  it('takes the committed release, spends a try and says what it started', () => {
    const { hardware, machine } = machineOn(freshMedium(good));
    const start = machine.start();
    assert.ok(start.kind === 'runs');
    assert.deepEqual(
      [start.system.release.version, start.system.slot, start.starts],
      ['1.0.0', 'a', 1],
    );
    assert.deepEqual(entryNames(hardware), ['keel-1+8-1.conf']);
    const selected = Buffer.from(hardware.variable(SELECTED_VARIABLE)?.data ?? []);
    assert.equal(selected.toString('utf16le'), 'keel-1+9.conf\0');
    for (let left = 7; left >= 0; left -= 1) {
      machine.start();
      assert.deepEqual(entryNames(hardware), [`keel-1+${left}-${9 - left}.conf`]);
    }
    assert.equal(machine.start().kind, 'runs', 'a used-up entry still starts');
    assert.deepEqual(entryNames(hardware), ['keel-1+0-10.conf']);
    assert.deepEqual(checkFat(espOf(hardware)).errors, []);
  });

  it('restarts on a root that is not intact, without end when there is no other', () => {
    const medium = freshMedium(good);
    medium.disk.write(extentOf(DEVICES.a).offsetBytes + 5000, Buffer.from([99]));
    const start = machineOn(medium).machine.start();
    assert.ok(start.kind === 'stuck');
    assert.match(start.reason, /is not intact/);
  });

  it('waits for a person when nothing can be started', () => {
    const medium = freshMedium(good);
    const { hardware, machine } = machineOn(medium);
    const fat = espOf(hardware);
    fat.rename('loader/entries', 'keel-1+9.conf', 'keel-1.off');
    const start = machine.start();
    assert.ok(start.kind === 'stuck');
    assert.match(start.reason, /no entry/);
  });

  it('takes the newer entry, and after its tries the older one', () => {
    const rows: [Behaviour, number, string, number, string][] = [
      // behaviour, tries, release that runs, starts, entry of the newer one after it
      ['healthy', 1, '2.0.0', 1, 'keel-2+0-1.conf'],
      ['healthy', 9, '2.0.0', 1, 'keel-2+8-1.conf'],
      ['panics', 1, '1.0.0', 2, 'keel-2+0-1.conf'],
      ['panics', 9, '1.0.0', 10, 'keel-2+0-9.conf'],
    ];
    for (const [behaviour, left, version, starts, entry] of rows) {
      const release = makeRelease({ number: 2, behaviour, key });
      const name = { sequence: 2, counter: { left, done: 0 } };
      const { hardware, machine } = machineOn(freshMedium(good, { release, name }), release);
      const start = machine.start();
      assert.ok(start.kind === 'runs', JSON.stringify(start));
      const found = [start.system.release.version, start.starts];
      assert.deepEqual(found, [version, starts], `${behaviour} ${left}`);
      assert.ok(entryNames(hardware).includes(entry), entryNames(hardware).join());
    }
  });

  it('passes an entry over whose kernel image is missing, and comes back from one that cannot be loaded', () => {
    const release = makeRelease({ number: 2, behaviour: 'healthy', key });
    const name = { sequence: 2, counter: { left: 1, done: 0 } };
    const broken = { ...release, uki: Buffer.from('not a program') };
    const { hardware, machine } = machineOn(freshMedium(good, { release: broken, name }), release);
    const start = machine.start();
    assert.ok(start.kind === 'stuck', 'there is no second boot option here');
    assert.deepEqual(entryNames(hardware), ['keel-1+9.conf', 'keel-2+0-1.conf']);
    const crashing = { ...release, uki: Buffer.from(release.uki).fill(7, 4100, 4110) };
    const second = machineOn(freshMedium(good, { release: crashing, name }), release);
    const after = second.machine.start();
    assert.ok(after.kind === 'runs');
    assert.deepEqual([after.system.release.version, after.starts], ['1.0.0', 2]);
  });

  it('reads the second partition table when the first is torn', () => {
    const medium = freshMedium(good);
    medium.disk.write(1024 + 256, Buffer.alloc(16, 1));
    assert.equal(machineOn(medium).machine.start().kind, 'runs');
  });
});

describe("the firmware's FAT driver", function () {
  this.timeout(60_000);
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-crash-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function image(hardware: Hardware): Promise<string> {
    const file = join(folder, 'esp.img');
    await writeFile(file, hardware.medium.disk.read(ESP.offsetBytes, ESP.sizeBytes));
    return file;
  }

  it('renames as fsck.vfat and mtools understand it', async () => {
    const { hardware, machine } = machineOn(freshMedium(good));
    machine.start();
    machine.start();
    const file = await image(hardware);
    const fsck = findCommand('fsck.vfat');
    assert.ok(fsck !== undefined);
    const { exitCode, stdout } = await runProgram(fsck, ['-n', file]);
    assert.equal(exitCode, 0, stdout);
    assert.match(await tool('mdir', '-b', '-i', file, '::loader/entries'), /keel-1\+7-2\.conf/);
    const text = await tool('mtype', '-i', file, '::loader/entries/keel-1+7-2.conf');
    const { version, rootHash } = good;
    assert.equal(text, entryText({ version, uki: kernelImagePath(rootHash) }));
  });

  it('finds what fsck.vfat finds', async () => {
    const damages: [string, (bytes: Buffer) => void, RegExp][] = [
      ['a chain that is cut', (table) => table.writeUInt32LE(0, 4 * 8), /no end|clusters for/],
      ['clusters of nobody', (table) => table.writeUInt32LE(0x0fffffff, 4 * 500), /^$/],
    ];
    for (const [name, damage, expected] of damages) {
      const medium = freshMedium(good);
      const at = ESP.offsetBytes + 32 * 512;
      const table = medium.disk.read(at, 4096);
      damage(table);
      medium.disk.write(at, table);
      const { hardware } = machineOn(medium);
      const findings = checkFat(espOf(hardware));
      assert.match(findings.errors.join(), expected, name);
      assert.ok(findings.errors.length > 0 || findings.lostClusters > 0, name);
      assert.ok(findings.areTablesDifferent, name);
      const { exitCode } = await runProgram(findCommand('fsck.vfat') ?? '', [
        '-n',
        await image(hardware),
      ]);
      assert.notEqual(exitCode, 0, name);
    }
  });
});
