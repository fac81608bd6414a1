/** Our boot options read by virt-fw-vars, and what it writes read by us. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  optionNumber,
  parseBootOrder,
  planLadder,
  wantedOptions,
} from '@keelos/ts-agent/core/boot-options.ts';
import { decodeLoadOption } from '@keelos/ts-agent/core/load-option.ts';
import { virtFwVars } from '../../scripts/lib/virt-firmware.mjs';

const EMPTY_STORE = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const PARTITION = {
  number: 1,
  firstLba: 2048,
  sectors: 524_288,
  guid: 'e5e5e5e5-1234-4e5e-8e5e-e5e5e5e5e5e6',
};
const COMMITTED = { version: '0.1.0', rootHash: 'ab'.repeat(32) };

interface Variables {
  readonly version: 2;
  readonly variables: readonly {
    readonly name: string;
    readonly guid: string;
    readonly attr: number;
    readonly data: string;
  }[];
}

describe('boot options of the firmware', function () {
  this.timeout(300_000);
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'keel-vars-'));
  });
  after(() => rm(directory, { recursive: true }));

  it('are read by virt-fw-vars as they were meant', async () => {
    const plan = planLadder({ order: [], options: new Map() }, wantedOptions(PARTITION, COMMITTED));
    const variables = plan.flatMap((change) => {
      if (change.kind !== 'write') return [];
      const dash = change.name.indexOf('-');
      const [name, guid] = [change.name.slice(0, dash), change.name.slice(dash + 1)];
      return [{ name, guid, attr: change.attributes, data: change.data.toString('hex') }];
    });
    const json = join(directory, 'ours.json');
    const store = join(directory, 'ours.fd');
    await writeFile(json, JSON.stringify({ version: 2, variables } satisfies Variables));
    await virtFwVars(['-i', EMPTY_STORE, '--set-json', json, '-o', store]);
    const printed = await virtFwVars(['-i', store, '--print', '--verbose']);
    for (const line of [
      'title="KeelOS" devpath=Partition(nr=1)/FilePath(\\EFI\\BOOT\\BOOTX64.EFI)',
      'title="KeelOS (second loader)" devpath=Partition(nr=1)/FilePath(\\EFI\\keel\\loader.efi)',
      'title="KeelOS 0.1.0" devpath=Partition(nr=1)/FilePath(\\EFI\\keel\\abababab.efi)',
      'boot order: 0000, 0001, 0002',
    ]) {
      assert.ok(printed.includes(line), `no ${line} in ${printed}`);
    }
  });

  it('are read by us as virt-fw-vars wrote them', async () => {
    const json = join(directory, 'theirs.json');
    const file = '\\EFI\\debian\\shimx64.efi';
    await virtFwVars(['-i', EMPTY_STORE, '--append-boot-filepath', file, '--output-json', json]);
    const { variables } = JSON.parse(await readFile(json, 'utf8')) as Variables;
    const bytesOf = (name: string) =>
      Buffer.from(variables.find((one) => one.name === name)?.data ?? assert.fail(name), 'hex');
    assert.deepEqual(parseBootOrder(bytesOf('BootOrder')), [0]);
    assert.deepEqual(decodeLoadOption(bytesOf('Boot0000')), {
      description: 'file shimx64.efi',
      isActive: true,
      path: 'EFI/debian/shimx64.efi',
      dataBytes: 0,
    });
    const [option] = variables.filter(({ name }) => name === 'Boot0000');
    assert.equal(optionNumber(`${option?.name}-${option?.guid}`), 0);
  });
});
