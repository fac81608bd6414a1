/**
 * The order of loader entries and their counters, by the real systemd-boot: folders of entries whose programs print which
 * one was started and reset the machine. What proto/src/boot-entry.ts says must come, boot after boot, and the names that
 * the loader leaves on the disk must be the ones that it gives.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOADER_CONFIG } from '@keelos/image/core/boot-files.ts';
import { startVm, type Vm } from '@keelos/image/shell/vm.ts';
import { fetchDebianParts, unpackDeb } from '@keelos/image/sys/debian-parts.ts';
import {
  afterOneTry,
  compareEntries,
  ENTRIES_DIR,
  type EntryName,
  entryFileName,
  entryText,
  LOADER_PATH,
  parseEntryFileName,
} from '@keelos/proto/boot-entry.ts';
import { espOfDisk, makeEspDisk } from '@keelos/tests/esp-disk.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { tinyEfi } from '@keelos/tests/tiny-efi.ts';
import { Esp } from '@keelos/ts-agent/shell/esp.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import { findCommand } from '../../scripts/lib/apt.mjs';

const BOOTS_TIMEOUT_MS = 240_000;
const LOADER_IN_DEB = 'usr/lib/systemd/boot/efi/systemd-bootx64.efi';

/** Folders, and after how many boots to look. "!" marks an entry whose program is missing. */
const FOLDERS: readonly (readonly [what: string, names: readonly string[], boots: number])[] = [
  ['a trial before the committed release, then back', ['keel-2+1', 'keel-1+9'], 3],
  ['higher numbers first, not longer names', ['keel-9+2', 'keel-10+1', 'keel-100+1'], 4],
  ['nine tries of a rotten release', ['keel-3+2-7', 'keel-2+9'], 4],
  ['all used up: the newest still starts, and is counted on', ['keel-2+0-1', 'keel-1+0-9'], 2],
  ['used up behind uncounted', ['keel-7+0-3', 'keel-5', 'keel-6+1'], 3],
  ['a program that is missing is passed over', ['keel-4+1!', 'keel-3+2'], 2],
  ['not armed yet is not seen', ['keel-9.new', 'keel-8+2'], 2],
];

interface Entry {
  readonly fileName: string;
  readonly name: EntryName | undefined;
  readonly hasProgram: boolean;
}

function parse(text: string): Entry {
  const plain = text.replace('!', '');
  const fileName = plain.includes('.') ? plain : `${plain}.conf`;
  return { fileName, name: parseEntryFileName(fileName), hasProgram: plain === text };
}

/** What must start, and the names that are left, by proto/src/boot-entry.ts. */
function expected(entries: readonly Entry[], boots: number): { starts: number[]; left: string[] } {
  let names = entries.flatMap(({ name, hasProgram }) =>
    name === undefined || !hasProgram ? [] : [name],
  );
  const starts: number[] = [];
  for (let boot = 0; boot < boots; boot += 1) {
    const [first, ...rest] = names.toSorted(compareEntries);
    if (first === undefined) break;
    starts.push(first.sequence);
    names = [afterOneTry(first), ...rest];
  }
  const untouched = entries.filter(({ name, hasProgram }) => name === undefined || !hasProgram);
  const left = [...names.map(entryFileName), ...untouched.map(({ fileName }) => fileName)];
  return { starts, left: left.toSorted() };
}

/** What fsck.vfat says of a file system; empty when it is content. */
async function complaints(path: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  const { exitCode, stdout } = await runProgram(findCommand('fsck.vfat') ?? '', ['-n', path]);
  return exitCode === 0 ? '' : stdout;
}

describe('loader entries, by systemd-boot', () => {
  let directory = '';
  let loader: Buffer;
  let vm: Vm | undefined;

  before(async function () {
    this.timeout(BOOTS_TIMEOUT_MS);
    directory = await mkdtemp(join(tmpdir(), 'keel-entries-'));
    const { debs } = await fetchDebianParts();
    const deb = debs['systemd-boot-efi'] ?? assert.fail('systemd-boot-efi is not locked');
    await unpackDeb(deb.file, join(directory, 'deb'));
    loader = await readFile(join(directory, 'deb', LOADER_IN_DEB));
  });
  afterEach(async () => {
    await vm?.kill();
    vm = undefined;
  });
  after(() => rm(directory, { recursive: true, force: true }));

  async function makeDisk(path: string, entries: readonly Entry[]): Promise<void> {
    const files = entries.flatMap(({ fileName, hasProgram }) => {
      const program = `EFI/keel/${fileName.replace(/\W/g, '_')}.efi`;
      const sequence = /\d+/.exec(fileName)?.[0];
      const text = Buffer.from(entryText({ version: fileName, uki: program }));
      return [
        { path: `${ENTRIES_DIR}/${fileName}`, data: text },
        ...(hasProgram ? [{ path: program, data: tinyEfi(`started=${sequence};`) }] : []),
      ];
    });
    await makeEspDisk(path, [
      { path: LOADER_PATH, data: loader },
      { path: 'loader/loader.conf', data: Buffer.from(LOADER_CONFIG) },
      ...files,
    ]);
  }

  for (const [index, [what, texts, boots]] of FOLDERS.entries()) {
    it(`${what}: ${texts.join(' ')}`, async function () {
      this.timeout(BOOTS_TIMEOUT_MS);
      const entries = texts.map(parse);
      const { starts } = expected(entries, boots);
      const dir = join(directory, String(index));
      await mkdir(dir);
      const disk = join(dir, 'disk.img');
      await makeDisk(disk, entries);
      vm = await startVm({ dir, disk, overlay: false, memoryMiB: 256, cpus: 1 });
      const pattern = new RegExp(`(started=\\d+;[^]*){${boots}}`);
      await vm.waitForConsole(pattern, { timeoutMs: BOOTS_TIMEOUT_MS });
      await vm.kill();
      const text = await vm.consoleText();
      const seen = [...text.matchAll(/started=(\d+);/g)].map(([, digits]) => Number(digits));
      assert.deepEqual(seen.slice(0, boots), starts, text);
      const esp = await espOfDisk(disk);
      const found = await (await Esp.open(createFakeBlockDevice(esp))).list(ENTRIES_DIR);
      const names = (found ?? []).map(({ name }) => name).toSorted();
      // The machine goes on until it is killed, and may be on its way to the next start.
      const possible = [seen.length, seen.length + 1].map((count) => expected(entries, count).left);
      assert.ok(
        possible.some((one) => one.join() === names.join()),
        `${names.join()}, expected ${possible[0]?.join()}`,
      );
      assert.equal(await complaints(join(dir, 'esp.img'), esp), '');
    });
  }
});
