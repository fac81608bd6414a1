/** The guest that tells whether an accelerator works. Source: kvm-probe-guest.S. */

const SECTOR_BYTES = 512;
const DISK_BYTES = 1024 * 1024;

/** Exit status of QEMU when the guest has done its work: isa-debug-exit makes 2 * 0x10 + 1 of what is written. */
export const PROBE_EXIT_STATUS = 33;

const CODE = [
  'fa31c08ed88ec08ed0bc007cfcbf0010b90018f3ab66c70600100320000066c70600200330000066',
  'c70600308300000066b8200600000f22e066b8001000000f22d866b9800000c00f32660d00010000',
  '0f3066b8030000800f22c0660f0116c87c66ea697c00000800b8100000008ed88ed0b940420f0031',
  'db660fefc04801cb66480f6ec9660fd4c1ffc975f066480f7ec24839d3751548ba20295a6a740000',
  '004839d375060fa2b010e6f4f4ebfd90000000000000000000000000009a20000000000000920000',
  '1700b07c',
].join('');

/** A bootable disk. The BIOS reads nothing from a disk of only one sector. */
export function probeDisk(): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  disk.write(CODE, 'hex');
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  return disk;
}
