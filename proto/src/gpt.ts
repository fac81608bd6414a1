/**
 * GUID Partition Table: encode, decode, check, and grow the last partition. Pure; the caller reads and writes sectors.
 *
 *     LBA 0        protective MBR
 *     LBA 1        primary header (92 bytes)          CRC-32 over itself and over the entries
 *     LBA 2..33    primary entries, 128 of 128 bytes
 *     LBA 34..     usable
 *     LBA n-33..   backup entries
 *     LBA n-1      backup header
 *
 * UEFI Specification 2.10, chapter 5.3. Sectors of 512 bytes only.
 */
import { crc32 } from 'node:zlib';
import { KeelError } from './errors.ts';
import { guidBytes, guidText, isGuid } from './guid.ts';

/** Bytes in a sector. */
export const SECTOR_BYTES = 512;
/** Sectors from the start of a disk that hold the protective MBR and the primary table. */
export const GPT_PRIMARY_SECTORS = 34;
/** Sectors at the end of a disk that hold the backup table. */
export const GPT_BACKUP_SECTORS = 33;

const SIGNATURE = Buffer.from('EFI PART', 'latin1');
const REVISION = 0x00010000;
const HEADER_BYTES = 92;
const ENTRY_BYTES = 128;
const ENTRY_COUNT = 128;
const ENTRIES_BYTES = ENTRY_BYTES * ENTRY_COUNT;
const NAME_UNITS_MAX = 36;
/** Partitions end on this boundary when they grow: one block of the file system inside. */
const GROW_ALIGN_SECTORS = 8;
const DISK_SECTORS_MAX = 2 ** 43;
const UNUSED_TYPE = '00000000-0000-0000-0000-000000000000';
const UNUSED_BYTES = Buffer.alloc(16);

/** One used entry of the table. */
export interface GptPartition {
  /** Number as Linux counts, from 1 to 128. */
  readonly number: number;
  /** Lower-case GUIDs with dashes. */
  readonly typeGuid: string;
  readonly guid: string;
  readonly firstLba: number;
  /** Inclusive. */
  readonly lastLba: number;
  readonly attributes: bigint;
  /** At most 36 UTF-16 units. */
  readonly name: string;
}

/** A whole table. */
export interface Gpt {
  readonly diskGuid: string;
  /** Sectors of the disk that the table was made for: its backup header is in the last of them. */
  readonly diskSectors: number;
  /** Ascending by number; they do not overlap. */
  readonly partitions: readonly GptPartition[];
}

/** The two byte ranges that make up a table on disk. */
export interface EncodedGpt {
  /** {@link GPT_PRIMARY_SECTORS} sectors for LBA 0. */
  readonly primary: Buffer;
  /** {@link GPT_BACKUP_SECTORS} sectors for {@link backupLba}. */
  readonly backup: Buffer;
  readonly backupLba: number;
}

function refuse(reason: string): never {
  throw new KeelError('E_DISK_LAYOUT', `Cannot read partition table: ${reason}`);
}

/**
 * Why `gpt` is not a table that may be written or trusted: the first rule it breaks, or undefined when it is fine.
 */
export function gptProblem(gpt: Gpt): string | undefined {
  const firstUsable = GPT_PRIMARY_SECTORS;
  const lastUsable = gpt.diskSectors - GPT_BACKUP_SECTORS - 1;
  const sizes = Number.isSafeInteger(gpt.diskSectors) && gpt.diskSectors <= DISK_SECTORS_MAX;
  if (!sizes || lastUsable < firstUsable) return `a disk of ${gpt.diskSectors} sectors`;
  if (!isGuid(gpt.diskGuid)) return `disk GUID ${gpt.diskGuid}`;
  const guids = new Set<string>();
  let previousNumber = 0;
  for (const partition of gpt.partitions) {
    const { number, firstLba, lastLba } = partition;
    const what = `partition ${number}`;
    if (!Number.isInteger(number) || number <= previousNumber || number > ENTRY_COUNT) {
      return `${what} after partition ${previousNumber}, of at most ${ENTRY_COUNT}`;
    }
    previousNumber = number;
    if (!isGuid(partition.typeGuid) || partition.typeGuid === UNUSED_TYPE) {
      return `${what} has type ${partition.typeGuid}`;
    }
    if (!isGuid(partition.guid)) return `${what} has GUID ${partition.guid}`;
    if (guids.has(partition.guid)) return `${what} has the GUID of another`;
    guids.add(partition.guid);
    if (partition.name.length > NAME_UNITS_MAX) return `${what} has a name over ${NAME_UNITS_MAX}`;
    if (!(firstLba >= firstUsable && firstLba <= lastLba && lastLba <= lastUsable)) {
      return `${what} spans ${firstLba}..${lastLba}, usable is ${firstUsable}..${lastUsable}`;
    }
  }
  const byPlace = [...gpt.partitions].sort((a, b) => a.firstLba - b.firstLba);
  for (const [position, partition] of byPlace.entries()) {
    const next = byPlace[position + 1];
    if (next !== undefined && next.firstLba <= partition.lastLba) {
      return `partitions ${partition.number} and ${next.number} overlap`;
    }
  }
  return undefined;
}

function encodeEntries(gpt: Gpt): Buffer {
  const entries = Buffer.alloc(ENTRIES_BYTES);
  for (const partition of gpt.partitions) {
    const entry = entries.subarray((partition.number - 1) * ENTRY_BYTES);
    guidBytes(partition.typeGuid).copy(entry, 0);
    guidBytes(partition.guid).copy(entry, 16);
    entry.writeBigUInt64LE(BigInt(partition.firstLba), 32);
    entry.writeBigUInt64LE(BigInt(partition.lastLba), 40);
    entry.writeBigUInt64LE(partition.attributes, 48);
    entry.write(partition.name, 56, 'utf16le');
  }
  return entries;
}

interface HeaderPlace {
  readonly myLba: number;
  readonly alternateLba: number;
  readonly entriesLba: number;
}

function encodeHeader(gpt: Gpt, place: HeaderPlace, entriesCrc: number): Buffer {
  const header = Buffer.alloc(SECTOR_BYTES);
  SIGNATURE.copy(header, 0);
  header.writeUInt32LE(REVISION, 8);
  header.writeUInt32LE(HEADER_BYTES, 12);
  header.writeBigUInt64LE(BigInt(place.myLba), 24);
  header.writeBigUInt64LE(BigInt(place.alternateLba), 32);
  header.writeBigUInt64LE(BigInt(GPT_PRIMARY_SECTORS), 40);
  header.writeBigUInt64LE(BigInt(gpt.diskSectors - GPT_BACKUP_SECTORS - 1), 48);
  guidBytes(gpt.diskGuid).copy(header, 56);
  header.writeBigUInt64LE(BigInt(place.entriesLba), 72);
  header.writeUInt32LE(ENTRY_COUNT, 80);
  header.writeUInt32LE(ENTRY_BYTES, 84);
  header.writeUInt32LE(entriesCrc, 88);
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES)), 16);
  return header;
}

/** One partition of type 0xEE over the whole disk, so that old tools keep their hands off. */
function protectiveMbr(diskSectors: number): Buffer {
  const mbr = Buffer.alloc(SECTOR_BYTES);
  const entry = mbr.subarray(446);
  entry.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
  entry.writeUInt32LE(1, 8);
  entry.writeUInt32LE(Math.min(diskSectors - 1, 0xffffffff), 12);
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

/**
 * Bytes of both copies of a table. Write the backup first: then one valid copy exists at every moment.
 *
 * @throws RangeError when the table breaks a rule ({@link gptProblem}).
 */
export function encodeGpt(gpt: Gpt): EncodedGpt {
  const problem = gptProblem(gpt);
  if (problem !== undefined) throw new RangeError(`Cannot encode partition table: ${problem}`);
  const entries = encodeEntries(gpt);
  const entriesCrc = crc32(entries);
  const lastLba = gpt.diskSectors - 1;
  const backupLba = gpt.diskSectors - GPT_BACKUP_SECTORS;
  const primary = { myLba: 1, alternateLba: lastLba, entriesLba: 2 };
  const backup = { myLba: lastLba, alternateLba: 1, entriesLba: backupLba };
  return {
    primary: Buffer.concat([
      protectiveMbr(gpt.diskSectors),
      encodeHeader(gpt, primary, entriesCrc),
      entries,
    ]),
    backup: Buffer.concat([entries, encodeHeader(gpt, backup, entriesCrc)]),
    backupLba,
  };
}

function decodeEntries(entries: Buffer): GptPartition[] {
  const partitions: GptPartition[] = [];
  for (let position = 0; position < ENTRY_COUNT; position += 1) {
    const entry = entries.subarray(position * ENTRY_BYTES, (position + 1) * ENTRY_BYTES);
    // Most of the 128 are unused: reading them as GUIDs is most of the work.
    if (UNUSED_BYTES.equals(entry.subarray(0, 16))) continue;
    const typeGuid = guidText(entry.subarray(0, 16));
    const name = entry.toString('utf16le', 56, ENTRY_BYTES);
    const end = name.indexOf('\0');
    partitions.push({
      number: position + 1,
      typeGuid,
      guid: guidText(entry.subarray(16, 32)),
      firstLba: Number(entry.readBigUInt64LE(32)),
      lastLba: Number(entry.readBigUInt64LE(40)),
      attributes: entry.readBigUInt64LE(48),
      name: end < 0 ? name : name.slice(0, end),
    });
  }
  return partitions;
}

function decodeCopy(header: Buffer, entries: Buffer, which: 'primary' | 'backup'): Gpt {
  if (!header.subarray(0, 8).equals(SIGNATURE)) refuse(`no ${which} header`);
  const headerBytes = header.readUInt32LE(12);
  if (headerBytes !== HEADER_BYTES) refuse(`${which} header of ${headerBytes} bytes`);
  const covered = Buffer.from(header.subarray(0, HEADER_BYTES));
  covered.writeUInt32LE(0, 16);
  if (crc32(covered) !== header.readUInt32LE(16)) refuse(`${which} header has a wrong checksum`);
  if (header.readUInt32LE(80) !== ENTRY_COUNT || header.readUInt32LE(84) !== ENTRY_BYTES) {
    refuse(`${which} table does not have ${ENTRY_COUNT} entries of ${ENTRY_BYTES} bytes`);
  }
  if (crc32(entries) !== header.readUInt32LE(88)) refuse(`${which} entries have a wrong checksum`);
  const myLba = Number(header.readBigUInt64LE(24));
  const alternateLba = Number(header.readBigUInt64LE(32));
  const entriesLba = Number(header.readBigUInt64LE(72));
  const diskSectors = (which === 'primary' ? alternateLba : myLba) + 1;
  const wantedEntriesLba = which === 'primary' ? 2 : diskSectors - GPT_BACKUP_SECTORS;
  if ((which === 'primary' ? myLba : alternateLba) !== 1 || entriesLba !== wantedEntriesLba) {
    refuse(`${which} table is not where it says (header ${myLba}, entries ${entriesLba})`);
  }
  const gpt = {
    diskGuid: guidText(header.subarray(56, 72)),
    diskSectors,
    partitions: decodeEntries(entries),
  };
  const problem = gptProblem(gpt);
  if (problem !== undefined) refuse(problem);
  return gpt;
}

/**
 * Reads a table from the first sectors of a disk.
 *
 * @param bytes at least {@link GPT_PRIMARY_SECTORS} sectors, from LBA 0
 * @throws KeelError E_DISK_LAYOUT when it is damaged or not laid out as above.
 */
export function decodeGpt(bytes: Uint8Array): Gpt {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length < GPT_PRIMARY_SECTORS * SECTOR_BYTES) refuse(`only ${data.length} bytes`);
  const header = data.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES);
  return decodeCopy(header, data.subarray(1024, 1024 + ENTRIES_BYTES), 'primary');
}

/**
 * Reads a table from the last sectors of a disk, for when the first are damaged.
 *
 * @param bytes exactly {@link GPT_BACKUP_SECTORS} sectors: the last of the disk, or of the size it had before it grew
 * @throws KeelError E_DISK_LAYOUT as {@link decodeGpt}.
 */
export function decodeBackupGpt(bytes: Uint8Array): Gpt {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length !== GPT_BACKUP_SECTORS * SECTOR_BYTES) refuse(`only ${data.length} bytes`);
  return decodeCopy(data.subarray(ENTRIES_BYTES), data.subarray(0, ENTRIES_BYTES), 'backup');
}

/**
 * The table for a disk that has grown: the partition that ends last takes all the new room.
 *
 * Returns the same object when nothing changes. Does not shrink: a disk smaller than the table says is an error.
 *
 * @throws KeelError E_DISK_LAYOUT when the disk is smaller than the table, or has no partition.
 */
export function growLastPartition(gpt: Gpt, diskSectors: number): Gpt {
  if (diskSectors < gpt.diskSectors) {
    refuse(`it is for ${gpt.diskSectors} sectors, the disk has ${diskSectors}`);
  }
  const [first, ...others] = gpt.partitions;
  if (first === undefined) refuse('it has no partition');
  const last = others.reduce((a, b) => (b.lastLba > a.lastLba ? b : a), first);
  const usable = diskSectors - GPT_BACKUP_SECTORS - last.firstLba;
  const lastLba = last.firstLba + usable - (usable % GROW_ALIGN_SECTORS) - 1;
  if (diskSectors === gpt.diskSectors && lastLba <= last.lastLba) return gpt;
  const grown = { ...last, lastLba: Math.max(last.lastLba, lastLba) };
  return {
    ...gpt,
    diskSectors,
    partitions: gpt.partitions.map((partition) => (partition === last ? grown : partition)),
  };
}

/** Size of a partition in bytes. */
export function partitionBytes(partition: GptPartition): number {
  return (partition.lastLba - partition.firstLba + 1) * SECTOR_BYTES;
}
