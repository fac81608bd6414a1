/**
 * The ladder below the boot loader, by the real firmware: boot options as a node writes them, and on the disk programs
 * that print which one was started. What is damaged is passed over, down to the kernel image.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVm, type Vm } from '@keelos/image/shell/vm.ts';
import { kernelImagePath, LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';
import { ESP_OF_DISK, makeEspDisk } from '@keelos/tests/esp-disk.ts';
import { tinyEfi } from '@keelos/tests/tiny-efi.ts';
import { planLadder, wantedOptions } from '@keelos/ts-agent/core/boot-options.ts';
import { virtFwVars } from '../../scripts/lib/virt-firmware.mjs';

const EMPTY_STORE = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const CASE_TIMEOUT_MS = 240_000;
const COMMITTED = { version: '0.1.0', rootHash: 'ab'.repeat(32) };
const GARBAGE = Buffer.alloc(4096, 0x5a);

type Program = 'good' | 'garbage' | 'absent';
const CASES: readonly (readonly [
  what: string,
  programs: readonly [loader: Program, second: Program, kernel: Program],
  hasVariables: boolean,
  started: string,
])[] = [
  ['all is well', ['good', 'good', 'good'], true, 'loader'],
  ['the loader is damaged', ['garbage', 'good', 'good'], true, 'second'],
  ['the loader is gone', ['absent', 'good', 'good'], true, 'second'],
  ['both loaders are damaged', ['garbage', 'garbage', 'good'], true, 'kernel'],
  ['the variables are lost', ['good', 'good', 'good'], false, 'loader'],
];

describe('boot options, by the firmware', () => {
  let directory = '';
  let vm: Vm | undefined;
  let store = '';

  before(async function () {
    this.timeout(CASE_TIMEOUT_MS);
    directory = await mkdtemp(join(tmpdir(), 'keel-ladder-'));
    const plan = planLadder(
      { order: [], options: new Map() },
      wantedOptions(ESP_OF_DISK, COMMITTED),
    );
    const variables = plan.flatMap((change) => {
      if (change.kind !== 'write') return [];
      const dash = change.name.indexOf('-');
      const [name, guid] = [change.name.slice(0, dash), change.name.slice(dash + 1)];
      return [{ name, guid, attr: change.attributes, data: change.data.toString('hex') }];
    });
    const json = join(directory, 'options.json');
    await writeFile(json, JSON.stringify({ version: 2, variables }));
    store = join(directory, 'options.fd');
    await virtFwVars(['-i', EMPTY_STORE, '--set-json', json, '-o', store]);
  });
  afterEach(async () => {
    await vm?.kill();
    vm = undefined;
  });
  after(() => rm(directory, { recursive: true, force: true }));

  for (const [index, [what, programs, hasVariables, started]] of CASES.entries()) {
    it(`${what}: starts the ${started}`, async function () {
      this.timeout(CASE_TIMEOUT_MS);
      const dir = join(directory, String(index));
      await mkdir(dir);
      const disk = join(dir, 'disk.img');
      const places = [
        ['loader', LOADER_PATH],
        ['second', SECOND_LOADER_PATH],
        ['kernel', kernelImagePath(COMMITTED.rootHash)],
      ] as const;
      const files = places.flatMap(([name, path], rung) => {
        if (programs[rung] === 'absent') return [];
        const data = programs[rung] === 'good' ? tinyEfi(`started=${name};`) : GARBAGE;
        return [{ path, data }];
      });
      await makeEspDisk(disk, files);
      const vars = hasVariables ? { firmwareVars: store } : {};
      vm = await startVm({ dir, disk, overlay: false, memoryMiB: 256, cpus: 1, ...vars });
      const found = await vm.waitForConsole(/started=(\w+);/, { timeoutMs: CASE_TIMEOUT_MS });
      assert.equal(found[1], started);
    });
  }
});
