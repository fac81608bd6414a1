/**
 * Directories of a FAT file system: what is in them, and how they look after a change.
 *
 *     a name: long entries, last part first | short entry                  32 bytes each, 16 in a sector
 *
 * A change is a list of contents, each to be durable before the next is begun. In each one either a single sector
 * differs from the one before, or what differs is not in use yet: cut anywhere, a name is there or not.
 *
 * Microsoft FAT specification 1.03 (2000), sections "FAT Directory Structure" and "FAT Long Directory Entries".
 */
import { encodeName, shortNameSum } from '@keelos/proto/fat-name.ts';

/** Bytes in an entry. */
export const ENTRY_BYTES = 32;
/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;
const ENTRIES_PER_SECTOR = SECTOR_BYTES / ENTRY_BYTES;
const ATTRIBUTE_VOLUME = 0x08;
const ATTRIBUTE_DIRECTORY = 0x10;
const ATTRIBUTE_ARCHIVE = 0x20;
const ATTRIBUTE_LONG_NAME = 0x0f;
const UNUSED = 0xe5;
const END = 0x00;
const LAST_LONG_ENTRY = 0x40;
/** Places of the 13 UTF-16 units in a long entry. */
const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/** Lower-case bits of Windows NT for base and extension of a short name. */
const LOWER_BASE = 0x08;
const LOWER_EXTENSION = 0x10;
/** 1980-01-01, the first day that FAT has: nobody asks when an entry was made. */
const FIRST_DAY = 0x0021;

/** A file or directory. */
export interface FatRecord {
  /** The long name when there is one. */
  readonly name: string;
  /** 11 characters. */
  readonly shortName: string;
  readonly isDirectory: boolean;
  /** 0 for an empty file. */
  readonly firstCluster: number;
  /** 0 for a directory. */
  readonly sizeBytes: number;
  /** Positions of the first and the last entry of the name in its directory. */
  readonly firstEntry: number;
  readonly lastEntry: number;
}

/** A record that is to be made. */
export type NewRecord = Pick<FatRecord, 'name' | 'isDirectory' | 'firstCluster' | 'sizeBytes'>;

interface LongName {
  readonly firstEntry: number;
  readonly sum: number;
  readonly text: string;
  /** Order of the next part, counted down; 0: the short entry follows. */
  readonly left: number;
}

/** Everything in a directory but the volume label, "." and "..". A long name that is not whole does not count. */
export function fatRecords(bytes: Buffer): FatRecord[] {
  const found: FatRecord[] = [];
  let long: LongName | undefined;
  const end = endOf(bytes);
  for (let index = 0; index < end; index += 1) {
    const entry = entryAt(bytes, index);
    if (entry[0] === UNUSED) {
      long = undefined;
    } else if ((entry.readUInt8(11) & 0x3f) === ATTRIBUTE_LONG_NAME) {
      long = withPart(long, entry, index);
    } else {
      const whole = long?.left === 0 && long.sum === shortNameSum(entry) ? long : undefined;
      const record = recordOf(entry, { index, long: whole });
      if (record !== undefined) found.push(record);
      long = undefined;
    }
  }
  return found;
}

/** Long entries stand last part first. */
function withPart(long: LongName | undefined, entry: Buffer, index: number): LongName | undefined {
  const order = entry.readUInt8(0);
  const sum = entry.readUInt8(13);
  if ((order & LAST_LONG_ENTRY) !== 0) {
    const left = (order & ~LAST_LONG_ENTRY) - 1;
    return left < 0 ? undefined : { firstEntry: index, sum, text: longPart(entry), left };
  }
  if (long === undefined || order !== long.left || sum !== long.sum) return undefined;
  return { ...long, text: `${longPart(entry)}${long.text}`, left: long.left - 1 };
}

function recordOf(
  entry: Buffer,
  { index, long }: { readonly index: number; readonly long: LongName | undefined },
): FatRecord | undefined {
  const attributes = entry.readUInt8(11);
  const name = long?.text ?? shortName(entry);
  if ((attributes & ATTRIBUTE_VOLUME) !== 0 || /^\.\.?$/.test(name)) return undefined;
  const isDirectory = (attributes & ATTRIBUTE_DIRECTORY) !== 0;
  return {
    name,
    shortName: entry.toString('latin1', 0, 11),
    isDirectory,
    firstCluster: ((entry.readUInt16LE(20) << 16) | entry.readUInt16LE(26)) >>> 0,
    sizeBytes: isDirectory ? 0 : entry.readUInt32LE(28),
    firstEntry: long?.firstEntry ?? index,
    lastEntry: index,
  };
}

function longPart(entry: Buffer): string {
  const units = UNIT_PLACES.map((place) => entry.readUInt16LE(place));
  const end = units.indexOf(0);
  return String.fromCharCode(...(end < 0 ? units : units.slice(0, end)));
}

function shortName(entry: Buffer): string {
  const lower = entry.readUInt8(12);
  const part = (from: number, to: number, isLower: boolean) => {
    const text = entry.toString('latin1', from, to).trimEnd();
    return isLower ? text.toLowerCase() : text;
  };
  const base = part(0, 8, (lower & LOWER_BASE) !== 0);
  const extension = part(8, 11, (lower & LOWER_EXTENSION) !== 0);
  return extension === '' ? base : `${base}.${extension}`;
}

const entryAt = (bytes: Buffer, index: number) =>
  bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES);

/** Position of the first entry that was never used: what follows it does not count. */
function endOf(bytes: Buffer): number {
  const count = Math.floor(bytes.length / ENTRY_BYTES);
  for (let index = 0; index < count; index += 1) {
    if (bytes[index * ENTRY_BYTES] === END) return index;
  }
  return count;
}

/** The record of that name, whatever its case. */
export function recordNamed(records: readonly FatRecord[], name: string): FatRecord | undefined {
  const wanted = name.toUpperCase();
  return records.find((record) => record.name.toUpperCase() === wanted);
}

/** Contents that lead to a directory with one record more; undefined: there is no room in any sector. */
export function withRecord(bytes: Buffer, record: NewRecord): Buffer[] | undefined {
  const entries = encoded(record.name, fatRecords(bytes));
  shortFields(entries.subarray(-ENTRY_BYTES), record);
  const count = entries.length / ENTRY_BYTES;
  for (let sector = 0; sector * SECTOR_BYTES < bytes.length; sector += 1) {
    const place = roomIn(bytes, sector, count);
    if (place !== undefined) return placed(bytes, entries, place);
  }
  return undefined;
}

/** Contents that lead to a directory without a record: its short entry goes first, then parts of its name elsewhere. */
export function withoutRecord(bytes: Buffer, record: FatRecord): Buffer[] {
  const nameGone = unused(bytes, inLastSector(record));
  return [nameGone, unused(nameGone, record)];
}

/**
 * Contents that lead to a directory in which a record has another name, by a change of its sector alone; undefined:
 * there is no room in that sector.
 */
export function withName(bytes: Buffer, record: FatRecord, name: string): Buffer[] | undefined {
  const others = fatRecords(bytes).filter(({ lastEntry }) => lastEntry !== record.lastEntry);
  const entries = encoded(name, others);
  const short = entries.subarray(-ENTRY_BYTES);
  entryAt(bytes, record.lastEntry).copy(short, 11, 11);
  // The bits for lower case belonged to the old name.
  short[12] = 0;
  const cleared = unused(bytes, inLastSector(record));
  const sector = Math.floor(record.lastEntry / ENTRIES_PER_SECTOR);
  const place = roomIn(cleared, sector, entries.length / ENTRY_BYTES);
  if (place === undefined) return undefined;
  const tidy = tidied(bytes);
  const renamed = placed(tidied(cleared), entries, place).at(-1) ?? cleared;
  return [tidy, renamed, unused(renamed, { ...record, lastEntry: firstOfSector(record) - 1 })];
}

/** Contents that lead to a directory in which a record has the contents of another file, by a change of its sector alone. */
export function withContents(
  bytes: Buffer,
  record: FatRecord,
  { firstCluster, sizeBytes }: Pick<FatRecord, 'firstCluster' | 'sizeBytes'>,
): Buffer[] {
  const changed = Buffer.from(bytes);
  placeFields(entryAt(changed, record.lastEntry), { firstCluster, sizeBytes });
  return [changed];
}

/** The part of a record's entries that is in the sector of its short entry. */
function inLastSector(record: FatRecord): Pick<FatRecord, 'firstEntry' | 'lastEntry'> {
  const firstEntry = Math.max(record.firstEntry, firstOfSector(record));
  return { firstEntry, lastEntry: record.lastEntry };
}

function firstOfSector({ lastEntry }: FatRecord): number {
  return lastEntry - (lastEntry % ENTRIES_PER_SECTOR);
}

function unused(
  bytes: Buffer,
  { firstEntry, lastEntry }: Pick<FatRecord, 'firstEntry' | 'lastEntry'>,
): Buffer {
  const changed = Buffer.from(bytes);
  for (let index = firstEntry; index <= lastEntry; index += 1) {
    changed[index * ENTRY_BYTES] = UNUSED;
  }
  return changed;
}

/** The same with nothing behind the last entry, where old bytes might come to count. */
function tidied(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed.fill(0, endOf(bytes) * ENTRY_BYTES);
  return changed;
}

/** Position of `count` entries of a sector that are free and side by side. */
function roomIn(bytes: Buffer, sector: number, count: number): number | undefined {
  const end = endOf(bytes);
  const first = sector * ENTRIES_PER_SECTOR;
  const last = Math.min(first + ENTRIES_PER_SECTOR, bytes.length / ENTRY_BYTES);
  let run = 0;
  for (let index = first; index < last; index += 1) {
    const isFree = index >= end || bytes[index * ENTRY_BYTES] === UNUSED;
    run = isFree ? run + 1 : 0;
    if (run === count) return index + 1 - count;
  }
  return undefined;
}

/** Nothing behind the end; then entries before the new ones that must not end the directory; then the new ones. */
function placed(bytes: Buffer, entries: Buffer, place: number): Buffer[] {
  const tidy = tidied(bytes);
  const end = endOf(bytes);
  const sectorStart = place - (place % ENTRIES_PER_SECTOR);
  const filled = unused(tidy, { firstEntry: end, lastEntry: sectorStart - 1 });
  const done = unused(filled, { firstEntry: Math.max(end, sectorStart), lastEntry: place - 1 });
  entries.copy(done, place * ENTRY_BYTES);
  return [tidy, filled, done];
}

/** Long entries and a short entry with nothing but its name. */
function encoded(name: string, others: readonly FatRecord[]): Buffer {
  const taken = { names: new Set(others.map((record) => record.shortName)) };
  const { shortName: short, longEntries } = encodeName(name, taken);
  const entries = Buffer.concat([longEntries, Buffer.alloc(ENTRY_BYTES)]);
  if (entries.length > SECTOR_BYTES) throw new RangeError(`a name of ${name.length} units`);
  short.copy(entries, longEntries.length);
  return entries;
}

function shortFields(entry: Buffer, { isDirectory, firstCluster, sizeBytes }: NewRecord): void {
  entry[11] = isDirectory ? ATTRIBUTE_DIRECTORY : ATTRIBUTE_ARCHIVE;
  for (const at of [16, 18, 24]) entry.writeUInt16LE(FIRST_DAY, at);
  placeFields(entry, { firstCluster, sizeBytes });
}

function placeFields(
  entry: Buffer,
  { firstCluster, sizeBytes }: Pick<NewRecord, 'firstCluster' | 'sizeBytes'>,
): void {
  entry.writeUInt16LE(firstCluster >>> 16, 20);
  entry.writeUInt16LE(firstCluster & 0xffff, 26);
  entry.writeUInt32LE(sizeBytes, 28);
}

/** Bytes of a new directory: itself and its parent, whose cluster is 0 when it is the root. */
export function newDirectory(
  clusterBytes: number,
  { own, parent }: { readonly own: number; readonly parent: number },
): Buffer {
  const bytes = Buffer.alloc(clusterBytes);
  for (const [index, name, firstCluster] of [
    [0, '.', own],
    [1, '..', parent],
  ] as const) {
    const entry = entryAt(bytes, index);
    entry.write(name.padEnd(11), 0, 'latin1');
    shortFields(entry, { name, isDirectory: true, firstCluster, sizeBytes: 0 });
  }
  return bytes;
}
