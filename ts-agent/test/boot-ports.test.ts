import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import { type BlockDevice, openBlockDevice } from '@keelos/ts-agent/sys/block-device.ts';
import { createFakeFirmwareVariables } from '@keelos/ts-agent/sys/firmware-variables.fake.ts';
import { linuxFirmwareVariables, variablesIn } from '@keelos/ts-agent/sys/firmware-variables.ts';

describe('ports of the boot state', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keel-boot-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const devices: readonly [string, () => Promise<BlockDevice>][] = [
    [
      'Linux',
      async () => {
        writeFileSync(join(directory, 'disk'), Buffer.alloc(4096, 1));
        return openBlockDevice(join(directory, 'disk'), 'write');
      },
    ],
    ['fake', async () => createFakeBlockDevice(Buffer.alloc(4096, 1))],
  ];
  for (const [name, open] of devices) {
    it(`block device, ${name}: reads what was written, and nothing past its end`, async () => {
      const device = await open();
      assert.equal(device.sizeBytes, 4096);
      await device.writeAt(512, Buffer.alloc(1024, 2));
      await device.flush();
      await device.dropCache();
      const bytes = Buffer.from(await device.readAt(0, 4096));
      assert.deepEqual([bytes[511], bytes[512], bytes[1535], bytes[1536]], [1, 2, 2, 1]);
      await assert.rejects(device.readAt(4000, 97));
      await assert.rejects(device.writeAt(4000, Buffer.alloc(97)));
      await device.close();
      await assert.rejects(device.readAt(0, 1));
    });
  }

  it('a block device that is not there, or only for reading', async () => {
    await assert.rejects(openBlockDevice(join(directory, 'none'), 'read'), { code: 'ENOENT' });
    writeFileSync(join(directory, 'disk'), Buffer.alloc(512));
    const device = await openBlockDevice(join(directory, 'disk'), 'read');
    await assert.rejects(device.writeAt(0, Buffer.alloc(512)));
    await device.close();
  });

  for (const [name, open] of [
    ['Linux', () => variablesIn(directory, () => true)],
    ['fake', () => createFakeFirmwareVariables()],
  ] as const) {
    it(`firmware variables, ${name}: read, write, replace, list, remove`, async () => {
      const variables = open();
      assert.equal(await variables.read('Boot0001-x'), undefined);
      await variables.write('Boot0001-x', { attributes: 7, data: Buffer.from('longer') });
      await variables.write('Boot0001-x', { attributes: 7, data: Buffer.from('new') });
      const found = await variables.read('Boot0001-x');
      assert.deepEqual([found?.attributes, Buffer.from(found?.data ?? []).toString()], [7, 'new']);
      assert.deepEqual(await variables.list(), ['Boot0001-x']);
      await variables.remove('Boot0001-x');
      await variables.remove('Boot0001-x');
      assert.deepEqual(await variables.list(), []);
    });
  }

  it('a variable is its attributes, then its data', async () => {
    const variables = variablesIn(directory, () => true);
    await variables.write('A-b', { attributes: 7, data: Buffer.from([9]) });
    assert.deepEqual([...readFileSync(join(directory, 'A-b'))], [7, 0, 0, 0, 9]);
    writeFileSync(join(directory, 'short'), 'abc');
    assert.equal(await variables.read('short'), undefined);
    await assert.rejects(
      variablesIn(join(directory, 'none'), () => true).write('A-b', {
        attributes: 7,
        data: Buffer.alloc(1),
      }),
      (error) => error instanceof KeelError && error.code === 'E_INTERNAL',
    );
    await assert.rejects(async () => variables.read('../x'), TypeError);
    assert.equal(linuxFirmwareVariables(directory).isAvailable, false);
    assert.equal(linuxFirmwareVariables(join(directory, 'none')).isAvailable, false);
    assert.deepEqual(await variablesIn(join(directory, 'none'), () => false).list(), []);
  });
});
