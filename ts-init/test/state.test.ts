import assert from 'node:assert/strict';
import {
  encodeGpt,
  GPT_BACKUP_SECTORS,
  type Gpt,
  growLastPartition,
  SECTOR_BYTES,
} from '@keelos/proto/gpt.ts';
import { PARTITION_NAMES, STATE_PARTITION_TYPE } from '@keelos/proto/node-paths.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { CLOCK_FLOOR } from '../src/core/clock-floor.ts';
import { createClockKeeper } from '../src/shell/clock-keeper.ts';
import { configureNetwork } from '../src/shell/configure-network.ts';
import { growState } from '../src/shell/grow-state.ts';
import { setIdentity } from '../src/shell/identity.ts';
import { mountState } from '../src/shell/mount-state.ts';
import { loadRandomSeed } from '../src/shell/random-seed.ts';
import { readConfig } from '../src/shell/read-config.ts';
import { createFakeNetlink } from '../src/sys/netlink-socket.fake.ts';
import { createFakeMachine, type FakeMachine, settleWithTime } from './fake-machine.ts';

const CLASS = '/sys/class/block';

function machineWithDisk(): FakeMachine {
  const machine = createFakeMachine({
    [`${CLASS}/vda/size`]: '8192',
    [`${CLASS}/vda/queue/logical_block_size`]: '512\n',
    [`${CLASS}/vda4/partition`]: '4\n',
    [`${CLASS}/vda4/size`]: '800\n',
    [`${CLASS}/vda4/uevent`]: 'DEVNAME=vda4\nPARTN=4\nPARTNAME=keel-state\n',
    [`${CLASS}/vda2/partition`]: '2\n',
    [`${CLASS}/vda2/uevent`]: 'DEVNAME=vda2\nPARTN=2\nPARTNAME=keel-a\n',
    [`${CLASS}/dm-0/slaves/vda2/size`]: '',
  });
  machine.files.links.set(`${CLASS}/vda4`, '../../devices/pci0000:00/virtio0/block/vda/vda4');
  machine.files.links.set(`${CLASS}/vda2`, '../../devices/pci0000:00/virtio0/block/vda/vda2');
  return machine;
}

describe('mounting the state partition', () => {
  const superblock = () => {
    const bytes = Buffer.alloc(4096);
    bytes.writeUInt16LE(0xef53, 1024 + 0x38);
    return bytes;
  };

  it('mounts it as it should be', async () => {
    const machine = machineWithDisk();
    const mounted = await mountState(machine);
    assert.deepEqual(mounted.report, { mode: 'disk', device: '/dev/vda4', problem: '' });
    assert.deepEqual(machine.syscalls.calls, ['mount /dev/vda4 /var ext4 1038 errors=remount-ro']);
  });

  it('sees that the kernel mounted it read-only without being asked to', async () => {
    const machine = machineWithDisk();
    const mounts = '/dev/dm-0 / squashfs ro 0 0\n/dev/vda4 /var ext4 ro,nosuid,nodev,noexec 0 0\n';
    machine.files.contents.set('/proc/self/mounts', Buffer.from(mounts));
    const { report } = await mountState(machine);
    assert.deepEqual([report.mode, report.device], ['read-only', '/dev/vda4']);
    assert.match(report.problem, /mounted it read-only/);
    machine.files.contents.set(
      '/proc/self/mounts',
      Buffer.from(mounts.replace('ext4 ro', 'ext4 rw')),
    );
    assert.equal((await mountState(machine)).report.mode, 'disk');
  });

  const cases: readonly {
    readonly name: string;
    /** The mount that works. */
    readonly works: RegExp;
    readonly mode: string;
  }[] = [
    { name: 'a device that cannot be written', works: /ext4 1039 $/, mode: 'read-only' },
    { name: 'a damaged journal', works: /1039 noload$/, mode: 'read-only' },
    { name: 'damaged group descriptors', works: /noload,sb=393216/, mode: 'read-only' },
    { name: 'nothing that mounts', works: /tmpfs/, mode: 'memory' },
  ];
  for (const { name, works, mode } of cases) {
    it(`${name}: ${mode}, and nothing is written`, async () => {
      const machine = machineWithDisk();
      machine.blockDevices.devices.set('/dev/vda4', superblock());
      machine.syscalls.failing = (call) => (works.test(call) ? undefined : 'EINVAL');
      const { report } = await mountState(machine);
      assert.equal(report.mode, mode);
      assert.match(report.problem, /vda4 .*EINVAL/);
      assert.equal(report.device, mode === 'memory' ? '' : '/dev/vda4');
      assert.deepEqual(machine.blockDevices.calls, []);
    });
  }

  it('a damaged superblock is written anew from a copy; when all are damaged, nothing is', async () => {
    const machine = machineWithDisk();
    const device = Buffer.alloc(3 * 2 ** 27 + 4096);
    superblock().copy(device, 3 * 2 ** 27, 1024, 2048);
    machine.blockDevices.devices.set('/dev/vda4', device);
    machine.syscalls.failing = () =>
      device.readUInt16LE(1024 + 0x38) === 0xef53 ? undefined : 'EINVAL';
    const { report } = await mountState(machine);
    assert.equal(report.mode, 'backup-superblock');
    assert.match(report.problem, /restored from its copy at 402653184/);
    assert.deepEqual(machine.blockDevices.calls, ['write /dev/vda4 1024+1024']);
    device.fill(0);
    machine.syscalls.failing = (call) => (call.includes('tmpfs') ? undefined : 'EINVAL');
    machine.blockDevices.calls.length = 0;
    const lost = await mountState(machine);
    assert.equal(lost.report.mode, 'memory');
    assert.match(lost.report.problem, /so is every copy/);
    assert.deepEqual(machine.blockDevices.calls, []);
  });

  it('waits for a slow disk, and goes on in memory without one', async () => {
    const machine = machineWithDisk();
    const uevent = machine.files.contents.get(`${CLASS}/vda4/uevent`);
    assert.ok(uevent);
    machine.files.contents.set(`${CLASS}/vda4/uevent`, Buffer.from(''));
    machine.clock.after(1_000, () => machine.files.contents.set(`${CLASS}/vda4/uevent`, uevent));
    assert.equal((await settleWithTime(machine, mountState(machine))).report.mode, 'disk');
    const without = createFakeMachine();
    const { report } = await settleWithTime(without, mountState(without));
    assert.equal(report.mode, 'memory');
    assert.match(report.problem, /no partition named keel-state/);
  });

  it('fails only when not even memory can be mounted', async () => {
    const machine = machineWithDisk();
    machine.syscalls.failing = () => 'ENOMEM';
    await assert.rejects(mountState(machine), { code: 'ENOMEM' });
  });
});

describe('growing the state partition', () => {
  const table: Gpt = {
    diskGuid: '00000000-0000-4000-8000-000000000009',
    diskSectors: 4096,
    partitions: [
      {
        number: 4,
        typeGuid: STATE_PARTITION_TYPE,
        guid: '00000000-0000-4000-8000-000000000004',
        firstLba: 2048,
        lastLba: 2847,
        attributes: 0n,
        name: PARTITION_NAMES.state,
      },
    ],
  };
  const partition = { name: 'vda4', disk: 'vda', partitionNumber: 4, problem: '' };

  function machineToGrow(): FakeMachine {
    const machine = machineWithDisk();
    const disk = Buffer.alloc(8192 * SECTOR_BYTES);
    const encoded = encodeGpt(table);
    encoded.primary.copy(disk);
    encoded.backup.copy(disk, encoded.backupLba * SECTOR_BYTES);
    const state = Buffer.alloc(4096);
    state.writeUInt16LE(0xef53, 1024 + 0x38);
    state.writeUInt32LE(2, 1024 + 0x18);
    state.writeUInt32LE(100, 1024 + 4);
    machine.blockDevices.devices.set('/dev/vda', disk);
    machine.blockDevices.devices.set('/dev/vda4', state);
    return machine;
  }

  it('writes the table, tells the kernel, then grows the file system', async () => {
    const machine = machineToGrow();
    const place = growLastPartition(table, 8192).partitions[0];
    assert.ok(place);
    const resize = machine.blockDevices.resizePartition.bind(machine.blockDevices);
    machine.blockDevices.resizePartition = (disk, to) => {
      resize(disk, to);
      machine.files.contents.set(`${CLASS}/vda4/size`, Buffer.from(String(to.lengthBytes / 512)));
    };
    await growState(machine, partition, '/var');
    const sectors = place.lastLba - place.firstLba + 1;
    assert.deepEqual(machine.blockDevices.calls, [
      `write /dev/vda ${(8192 - GPT_BACKUP_SECTORS) * 512}+${GPT_BACKUP_SECTORS * 512}`,
      'write /dev/vda 0+4096',
      `resize /dev/vda 4 at 1048576 by ${sectors * 512}`,
      `grow /var to ${sectors / 8}`,
    ]);
    machine.blockDevices.calls.length = 0;
    machine.blockDevices.devices.get('/dev/vda4')?.writeUInt32LE(sectors / 8, 1024 + 4);
    await growState(machine, partition, '/var');
    assert.deepEqual(machine.blockDevices.calls, [], 'nothing to do the second time');
  });

  it('leaves a disk with other sectors or another numbering alone', async () => {
    const machine = machineToGrow();
    await assert.rejects(
      growState(machine, { ...partition, partitionNumber: 3 }, '/var'),
      RangeError,
    );
    machine.files.contents.set(`${CLASS}/vda/queue/logical_block_size`, Buffer.from('4096\n'));
    await assert.rejects(growState(machine, partition, '/var'), /4096/);
    assert.deepEqual(machine.blockDevices.calls, []);
  });
});

describe('clock, configuration, identity, seed', () => {
  const buildMs = Date.UTC(2026, 0, 1);
  const osRelease = { '/etc/os-release': `ID=keelos\nBUILD_EPOCH=${buildMs / 1000}\n` };
  const FLOOR = '/var/lib/keel/clock-floor.rec';

  it('uses the last known time when the real-time clock is behind it, and saves as time goes on', async () => {
    const machine = createFakeMachine(osRelease);
    const lastMs = Date.UTC(2026, 5, 1);
    machine.files.contents.set(FLOOR, encodeRecord(CLOCK_FLOOR, { timeMs: lastMs }));
    machine.clock.setWall(0);
    const reports: unknown[] = [];
    createClockKeeper(machine, (report) => reports.push(report)).setAtBoot();
    assert.deepEqual(machine.syscalls.calls, [`clock ${lastMs}`]);
    assert.match(JSON.stringify(reports), /"source":"floor","trusted":false/);
    machine.clock.setWall(lastMs);
    await machine.clock.advance(600_000);
    const saved = machine.files.readText(FLOOR);
    assert.ok(saved.includes(String(lastMs + 600_000)), saved);
  });

  it('goes on with a damaged record, at the build time', () => {
    const machine = createFakeMachine({ ...osRelease, [FLOOR]: 'rubbish' });
    machine.clock.setWall(Date.UTC(2099, 0, 1));
    createClockKeeper(machine, () => {}).setAtBoot();
    assert.deepEqual(machine.syscalls.calls, [`clock ${buildMs}`]);
    assert.match(machine.log.lines.join(), /last known time/);
  });

  it('starts with the defaults and says so when the configuration is damaged', () => {
    const path = '/var/lib/keel/config/current.rec';
    assert.equal(readConfig(createFakeMachine()).problem, '');
    const damaged = readConfig(createFakeMachine({ [path]: 'keel-record node-config' }));
    assert.match(damaged.problem, /defaults are used/);
    assert.deepEqual(damaged.config.network.interfaces, []);
    const machine = createFakeMachine();
    const payload = { config: { hostname: 'n1', network: { interfaces: [], nameservers: [] } } };
    const record = encodeRecord({ kind: 'node-config', version: 1 }, payload);
    machine.files.contents.set(path, record);
    assert.equal(readConfig(machine).config.hostname, 'n1');
    for (let at = 0; at < record.length; at += 1) {
      const flipped = Buffer.from(record);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      machine.files.contents.set(path, flipped);
      assert.notEqual(readConfig(machine).problem, '', `flipped bit in byte ${at}`);
    }
  });

  it('takes the newest good record of the history when the configuration is damaged', () => {
    const of = (hostname: string) =>
      encodeRecord(
        { kind: 'node-config', version: 1 },
        { config: { hostname, network: { interfaces: [], nameservers: [] } } },
      );
    const directory = '/var/lib/keel/config/history';
    const machine = createFakeMachine();
    for (const name of ['00000008', '00000009', '00000010']) {
      machine.files.contents.set(`${directory}/${name}.rec`, of(`rev-${name}`));
    }
    const wrongShape = encodeRecord({ kind: 'node-config', version: 1 }, { config: 7 });
    machine.files.contents.set(`${directory}/00000011.rec`, wrongShape);
    machine.files.contents.set(`${directory}/00000012.rec`, Buffer.from('torn'));
    machine.files.contents.set(`${directory}/00000013.rec.new`, of('unfinished'));
    assert.equal(readConfig(machine).config.hostname, undefined, 'never configured');
    machine.files.contents.set('/var/lib/keel/config/current.rec', Buffer.from('rubbish'));
    const { config, problem } = readConfig(machine);
    assert.equal(config.hostname, 'rev-00000010');
    assert.match(problem, /current\.rec: .*; .*history\/00000010\.rec is used/);
    assert.match(machine.log.lines.join('\n'), /00000012[\s\S]*00000011/);
  });

  it('does not fail to set the clock because the time cannot be remembered', async () => {
    const machine = createFakeMachine(osRelease);
    const nowMs = Date.UTC(2026, 5, 1);
    machine.clock.setWall(nowMs);
    const keeper = createClockKeeper(machine, () => {});
    keeper.setAtBoot();
    machine.files.broken.set(FLOOR, 'ENOSPC');
    keeper.raise({ op: 'raiseClock', timeMs: nowMs + 86_400_000, source: 'operator' });
    await machine.clock.advance(0);
    assert.deepEqual(machine.syscalls.calls, [`clock ${nowMs + 86_400_000}`]);
    assert.match(machine.log.lines.join('\n'), /last known time: ENOSPC/);
    await assert.rejects(keeper.saveFloor(), { code: 'ENOSPC' });
    machine.files.broken.clear();
    await keeper.saveFloor();
    assert.ok(machine.files.exists(FLOOR));
  });

  it('makes a machine id once and names the node after it', () => {
    const machine = createFakeMachine();
    const config = { network: { interfaces: [], nameservers: [] } };
    setIdentity(machine, config);
    const id = machine.files.readText('/var/lib/keel/machine-id').trim();
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.ok(machine.syscalls.calls.includes(`hostname keel-${id.slice(0, 8)}`));
    assert.equal(machine.files.readText('/run/keel/etc/machine-id').trim(), id);
    setIdentity(machine, { ...config, hostname: 'named' });
    assert.equal(machine.files.readText('/run/keel/etc/hostname'), 'named\n');
    assert.equal(machine.files.readText('/var/lib/keel/machine-id').trim(), id);
  });

  it('leaves a machine id alone that cannot be read', () => {
    const machine = createFakeMachine({ '/var/lib/keel/machine-id': `${'a'.repeat(32)}\n` });
    const { files } = machine;
    const readText = files.readText.bind(files);
    files.readText = () => assert.fail('EIO');
    setIdentity(machine, { network: { interfaces: [], nameservers: [] } });
    files.readText = readText;
    assert.equal(files.readText('/var/lib/keel/machine-id'), `${'a'.repeat(32)}\n`);
    assert.match(files.readText('/run/keel/etc/machine-id'), /^[0-9a-f]{32}\n$/);
  });

  it('mixes the seed in and replaces it', async () => {
    const machine = createFakeMachine({ '/var/lib/keel/random-seed': 'old seed' });
    await loadRandomSeed(machine);
    assert.equal(machine.files.readText('/dev/urandom'), 'old seed');
    assert.equal(machine.files.readBytes('/var/lib/keel/random-seed').length, 512);
  });
});

describe('network of the node', () => {
  const links = [
    { index: 1, name: 'lo', up: false },
    { index: 2, name: 'eth0', up: true },
  ];
  const dhcp = { family: 4, bits: 0x0a00020fn, prefixLength: 24, linkIndex: 2 } as const;
  const noConfig = { network: { interfaces: [], nameservers: [] } };

  it("keeps the kernel's address", async () => {
    const machine = createFakeMachine({ '/proc/net/pnp': '#PROTO: DHCP\nnameserver 10.0.2.3\n' });
    machine.netlink = createFakeNetlink({ links, addresses: [dhcp] });
    const report = await configureNetwork(machine, noConfig);
    assert.deepEqual(report, { mode: 'dhcp', problem: '' });
    assert.deepEqual(machine.netlink.asked, ['list interfaces', 'set lo up', 'list addresses']);
    assert.equal(machine.files.readText('/run/keel/etc/resolv.conf'), 'nameserver 10.0.2.3\n');
  });

  it('replaces it by the configured one', async () => {
    const machine = createFakeMachine();
    machine.netlink = createFakeNetlink({ links, addresses: [dhcp] });
    const one = { name: 'eth0', addresses: ['192.0.2.5/24'], gateways: ['192.0.2.1'] };
    const config = { network: { interfaces: [one], nameservers: [] } };
    machine.netlink.refused.set('set gateway on eth0', 'ENETUNREACH');
    const report = await configureNetwork(machine, config);
    assert.equal(report.mode, 'static');
    assert.match(report.problem, /ENETUNREACH/);
    assert.deepEqual(machine.netlink.asked.slice(3, -1), [
      'list addresses',
      'remove address from eth0',
      'add address to eth0',
      'set gateway on eth0',
    ]);
  });

  it('says that there is no address, and no such interface, after a bounded wait', async () => {
    const machine = createFakeMachine();
    machine.netlink = createFakeNetlink({ links, addresses: [] });
    const one = { name: 'eth7', addresses: ['192.0.2.5/24'], gateways: [] };
    const config = { network: { interfaces: [one], nameservers: [] } };
    const report = await settleWithTime(machine, configureNetwork(machine, config));
    assert.equal(report.mode, 'none');
    assert.equal(report.problem, 'There is no interface eth7; The node has no address');
  });
});
