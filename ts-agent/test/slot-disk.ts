/** A disk with two slots in a fake world: partition table, roots with hash trees, kernel images on the ESP. */
import { createHash } from 'node:crypto';
import { DIGEST_BYTES } from '@keelos/as-core/verity-hasher.ts';
import { judgeTree, treeOver, treeShape } from '@keelos/as-core/verity-tree.ts';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { buildFat32 } from '@keelos/image/core/fat.ts';
import { encodeGpt, type GptPartition, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import { saltOfContents, VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import type { ImageFindings } from '@keelos/ts-agent/core/slot-contents.ts';
import type { VerifyImage } from '@keelos/ts-agent/sys/image-verifier.ts';
import type { FakeWorld } from './agent-fixture.ts';

const SLOT_BYTES = 2 * 1_048_576;
const ESP_BYTES = 48 * 1_048_576;
const LINUX_TYPE = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709';

/** GUID of a slot that holds nothing. */
export const EMPTY_GUID = 'eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee';

/** A root with its hash tree. */
export interface TestRoot {
  /** Data, then tree. */
  readonly bytes: Buffer;
  readonly dataBlocks: number;
  readonly rootHash: string;
  readonly salt: string;
  readonly commandLine: string;
}

const sha256 = (...parts: readonly Uint8Array[]) =>
  parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest();

/** Salted digests of blocks, one behind the other. */
function digestsOf(blocks: Uint8Array, salt: string): Uint8Array {
  const digests: Buffer[] = [];
  for (let at = 0; at < blocks.length; at += VERITY_BLOCK_BYTES) {
    digests.push(sha256(Buffer.from(salt, 'hex'), blocks.subarray(at, at + VERITY_BLOCK_BYTES)));
  }
  return Buffer.concat(digests);
}

/** A root of so many blocks, another one for each `seed`. It begins like a SquashFS, and is none. */
export function testRoot(seed: number, dataBlocks: number): TestRoot {
  const data = Buffer.alloc(dataBlocks * VERITY_BLOCK_BYTES, seed);
  for (let block = 0; block < dataBlocks; block += 1) data.writeUInt32LE(block, block * 4096 + 96);
  data.write('hsqs', 0, 'latin1');
  data.writeBigUInt64LE(BigInt(data.length - 5), 40);
  const salt = saltOfContents(sha256(data));
  const made = treeOver(digestsOf(data, salt), (blocks) => digestsOf(blocks, salt));
  const rootHash = Buffer.from(made.rootHash).toString('hex');
  return {
    bytes: Buffer.concat([data, made.tree]),
    dataBlocks,
    rootHash,
    salt,
    commandLine: kernelCommandLine({ dataBytes: data.length, rootHash, salt }),
  };
}

/** A kernel image with no more in it than its command line. */
export function testKernelImage(commandLine: string): Buffer {
  const image = Buffer.alloc(4096);
  image.write('MZ', 0, 'latin1');
  image.writeUInt32LE(64, 60);
  image.write('PE\0\0', 64, 'latin1');
  image.writeUInt16LE(2, 70);
  for (const [index, name] of ['.osrel', '.cmdline'].entries()) {
    const at = 88 + index * 40;
    image.write(name, at, 'latin1');
    image.writeUInt32LE(index === 1 ? commandLine.length : 4, at + 8);
    image.writeUInt32LE(index === 1 ? 1024 : 512, at + 20);
  }
  image.write(commandLine, 1024, 'latin1');
  return image;
}

/** Bytes of an EFI system partition with these files. */
export function testEsp(files: readonly { path: string; data: Uint8Array }[]): Buffer {
  const bytes = Buffer.alloc(ESP_BYTES);
  for (const { offset, data } of buildFat32({
    sizeBytes: ESP_BYTES,
    label: 'TEST',
    volumeId: 1,
    clusterBytes: 512,
    hiddenSectors: 0,
    timeSeconds: 1_600_000_000,
    files,
  })) {
    bytes.set(data, offset);
  }
  return bytes;
}

/** What is on the disk of {@link setDisk}. */
export interface TestDisk {
  readonly running: TestRoot;
  /** What lies in slot B; absent: nothing. */
  readonly other?: Uint8Array;
  readonly otherGuid?: string;
  /** Roots whose kernel images lie on the EFI system partition. */
  readonly bootEntries?: readonly TestRoot[];
}

/** Puts a disk into `world`, which runs from slot A. */
export function setDisk(world: FakeWorld, disk: TestDisk): void {
  const { files, links } = world.files;
  const slot = (number: number, name: string, guid: string): GptPartition => ({
    number,
    typeGuid: LINUX_TYPE,
    guid,
    firstLba: 2048 * number,
    lastLba: 2048 * number + 63,
    attributes: 0n,
    name,
  });
  const table = encodeGpt({
    diskGuid: 'dddddddd-dddd-4ddd-8ddd-dddddddddddd',
    diskSectors: 65_536,
    partitions: [
      slot(1, 'keel-esp', 'e5e5e5e5-e5e5-4e5e-8e5e-e5e5e5e5e5e5'),
      slot(2, 'keel-a', slotGuid(disk.running.rootHash)),
      slot(3, 'keel-b', disk.otherGuid ?? EMPTY_GUID),
    ],
  });
  const whole = Buffer.alloc(65_536 * SECTOR_BYTES);
  whole.set(table.primary, 0);
  whole.set(table.backup, table.backupLba * SECTOR_BYTES);
  files.set('/dev/vda', whole);
  files.set('/sys/class/block/vda/size', '65536\n');
  files.set('/proc/cmdline', disk.running.commandLine);
  files.set('/sys/class/block/vda3/uevent', 'DEVTYPE=partition\nPARTN=3\nPARTNAME=keel-b\n');
  links.set('/sys/class/block/vda3', '../../devices/pci/block/vda/vda3');
  for (const name of ['vda2', 'vda3']) {
    files.set(`/sys/class/block/${name}/size`, `${SLOT_BYTES / SECTOR_BYTES}\n`);
  }
  const device = (content: Uint8Array) => Buffer.concat([content, Buffer.alloc(SLOT_BYTES)]);
  files.set('/dev/vda2', device(disk.running.bytes).subarray(0, SLOT_BYTES));
  files.set('/dev/vda3', device(disk.other ?? Buffer.alloc(0)).subarray(0, SLOT_BYTES));
  const images = (disk.bootEntries ?? []).map(({ commandLine, rootHash }) => ({
    path: `EFI/keel/keel-${rootHash.slice(0, 16)}.efi`,
    data: testKernelImage(commandLine),
  }));
  files.set(
    '/dev/vda1',
    testEsp([{ path: 'EFI/BOOT/BOOTX64.EFI', data: Buffer.alloc(9) }, ...images]),
  );
}

/** Verifies in plain TypeScript what the fake world has, as an oracle would. */
export function plainVerifier(world: FakeWorld): VerifyImage {
  return async (place, { onProgress }): Promise<ImageFindings> => {
    const device = world.files.files.get(place.device);
    if (!(device instanceof Buffer)) throw new TypeError(`no device ${place.device}`);
    const data = device.subarray(0, place.dataBlocks * VERITY_BLOCK_BYTES);
    const treeAt = place.hashStartBlock * VERITY_BLOCK_BYTES;
    const tree = device.subarray(treeAt, treeAt + treeShape(place.dataBlocks).sizeBytes);
    const leaves = digestsOf(data, place.salt);
    if (leaves.length !== place.dataBlocks * DIGEST_BYTES) throw new TypeError('a short device');
    const rootHash = Buffer.from(place.rootHash, 'hex');
    const all = [
      ...judgeTree({ leaves, tree, rootHash }, (blocks) => digestsOf(blocks, place.salt)),
    ];
    onProgress(data.length);
    return {
      isIntact: all.length === 0,
      sha256: sha256(data).toString('hex'),
      badCount: all.length,
      bad: all.slice(0, 64).map((one) => ({ ...one, files: [`/file-${one.block}`] })),
      fileSystem: {
        isValid: true,
        code: '',
        problem: '',
        files: 2,
        directories: 1,
        bytes: 7,
      },
    };
  };
}
