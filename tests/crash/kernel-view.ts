/** What the kernel of a started machine shows in /proc, /sys and /dev, as far as updates look. */
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { UNKNOWN_BOOT } from '@keelos/ts-agent/core/boot-report.ts';
import { createFakeKernelFiles } from '@keelos/ts-agent/sys/kernel-files.fake.ts';
import type { KernelFiles } from '@keelos/ts-agent/sys/kernel-files.ts';
import { DEVICES, EXTENTS, FIRMWARE_DEVICE, SLOT_PARTITIONS } from './fresh-medium.ts';
import type { Hardware } from './hardware.ts';
import { type RunningSystem, readTable } from './machine.ts';
import { SECTOR_BYTES } from './sectors.ts';

/** Files of a started system; devices are read through their page caches. */
export function kernelView(hardware: Hardware, system: RunningSystem, bootId: string): KernelFiles {
  const fake = createFakeKernelFiles();
  const root = SLOT_PARTITIONS[system.slot].device.slice('/dev/'.length);
  const texts: Record<string, string> = {
    '/proc/cmdline': `${system.commandLine}\n`,
    '/proc/sys/kernel/random/boot_id': `${bootId}\n`,
    '/proc/1/mountinfo': '21 1 254:0 / / ro - squashfs /dev/root ro\n',
    '/etc/os-release': `ID=keelos\nVERSION_ID=${system.release.version}\n`,
    [`/sys/block/dm-0/slaves/${root}`]: '',
    [NODE_PATHS.bootReport]: JSON.stringify({
      ...UNKNOWN_BOOT,
      clock: { source: 'rtc', trusted: true, rtcMs: 0, problem: '' },
    }),
    '/sys/class/block/vda/uevent': 'DEVTYPE=disk\n',
    '/sys/class/dmi/id/bios_vendor': 'firmware of the crash simulation\n',
  };
  for (const [path, text] of Object.entries(texts)) fake.files.set(path, text);
  fake.links.set('/sys/dev/block/254:0', '../../devices/virtual/block/dm-0');
  for (const [device, { sizeBytes }] of EXTENTS) {
    if (!device.startsWith('/dev/')) continue;
    const name = device.slice('/dev/'.length);
    fake.files.set(`/sys/class/block/${name}/size`, `${sizeBytes / SECTOR_BYTES}\n`);
  }
  for (const { number, name } of readTable(hardware.device(FIRMWARE_DEVICE)).partitions) {
    const device = `${DEVICES.disk.slice('/dev/'.length)}${number}`;
    const uevent = `DEVTYPE=partition\nPARTN=${number}\nPARTNAME=${name}\n`;
    fake.files.set(`/sys/class/block/${device}/uevent`, uevent);
    fake.links.set(`/sys/class/block/${device}`, `../../devices/pci/block/vda/${device}`);
  }
  return {
    ...fake,
    async readAt(path, { offsetBytes, lengthBytes }) {
      const device = hardware.device(path);
      return device.read(offsetBytes, Math.min(lengthBytes, device.sizeBytes - offsetBytes));
    },
  };
}
