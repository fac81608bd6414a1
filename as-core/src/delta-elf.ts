/**
 * Finds ELF files (System V ABI, 64-bit, little endian) anywhere in bytes, and what their headers say of addresses. For the
 * side that makes patches: a header that makes no sense is passed over, and what it says wrongly only makes a patch larger.
 */
import {
  type AddressBase,
  type AddressRegion,
  type AddressTables,
  BASES_MAX,
  REGIONS_MAX,
  REGIONS_OF_FILE_MAX,
} from './delta-addresses.ts';
import type { Copy } from './delta-copy.ts';

/** Magic, 64-bit, little endian, version 1. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const PROGRAM_HEADERS_MAX = 256;
const SECTION_HEADERS_MAX = 4096;
const NAME_BYTES_MAX = 64;
const PT_LOAD = 1;
const SHT_NOBITS = 8;
/** Files that are looked at on each side. */
const FILES_MAX = 65_536;

/** Sections whose beginning offsets are counted from. */
const BASE_SECTIONS: readonly string[] = [
  '.text',
  '.rodata',
  '.eh_frame_hdr',
  '.gopclntab',
  '.dynstr',
];
/** runtime.pcHeader of Go 1.18 and 1.20: from byte 24 on the start of .text, then these tables, from the header on. */
const GO_MAGICS: readonly number[] = [0xfffffff0, 0xfffffff1];
const GO_TABLES: readonly string[] = ['funcname', 'cu', 'file', 'pc', 'func'];
const GO_TABLES_AT = 32;

interface Load {
  readonly offset: number;
  readonly bytes: number;
  readonly address: bigint;
  readonly memoryBytes: bigint;
}

interface ElfFile {
  readonly loads: readonly Load[];
  readonly bases: ReadonlyMap<string, bigint>;
}

/**
 * Tables for a patch: of the files that copies lead from and to with other bytes than there were.
 *
 * @param copies sorted by place in the new bytes
 */
export function findAddresses(
  old: Uint8Array,
  fresh: Uint8Array,
  copies: readonly Copy[],
): AddressTables {
  const [oldBytes, newBytes] = [bufferOf(old), bufferOf(fresh)];
  const [oldFiles, newFiles] = [findFiles(oldBytes), findFiles(newBytes)];
  const pairs = pairsOf({ oldBytes, newBytes, oldFiles, newFiles }, copies);
  const chosen = fitting(pairs, oldFiles, newFiles);
  const oldIndexes = [...new Set(chosen.map(([from]) => from))].sort((a, b) => a - b);
  const newIndexes = [...new Set(chosen.map(([, to]) => to))].sort((a, b) => a - b);
  return {
    oldRegions: regionsOf(oldFiles, oldIndexes),
    newRegions: regionsOf(newFiles, newIndexes),
    bases: basesOf(
      chosen.map(([from, to]) => ({
        oldFile: oldIndexes.indexOf(from),
        newFile: newIndexes.indexOf(to),
        old: oldFiles[from]?.bases ?? new Map(),
        fresh: newFiles[to]?.bases ?? new Map(),
      })),
    ),
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The files of a side, sorted by place; what a later file covers is taken from the one before. */
function findFiles(bytes: Buffer): ElfFile[] {
  const files: { readonly start: number; readonly file: ElfFile }[] = [];
  for (let at = bytes.indexOf(MAGIC); at >= 0 && files.length < FILES_MAX; ) {
    const file = readFile(bytes.subarray(at), at);
    if (file !== undefined) files.push({ start: at, file });
    at = bytes.indexOf(MAGIC, at + MAGIC.length);
  }
  return files.map(({ file }, index) => {
    const end = files[index + 1]?.start ?? bytes.length;
    return { ...file, loads: separate(file.loads, end) };
  });
}

/** Loads in the order of their place, without overlap and before `end`. */
function separate(loads: readonly Load[], end: number): Load[] {
  const sorted = [...loads].sort((a, b) => a.offset - b.offset);
  return sorted
    .map((load, index) => {
      const next = Math.min(sorted[index + 1]?.offset ?? end, end);
      return { ...load, bytes: Math.max(0, Math.min(load.bytes, next - load.offset)) };
    })
    .filter(({ offset }) => offset <= end)
    .slice(0, REGIONS_OF_FILE_MAX);
}

/** The file at the beginning of `bytes`, which lie at `start` of their side. */
function readFile(bytes: Buffer, start: number): ElfFile | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const place = placeAt(bytes, 32);
  const count = bytes.readUInt16LE(56);
  const isOdd = bytes.readUInt16LE(54) !== PROGRAM_HEADER_BYTES || count > PROGRAM_HEADERS_MAX;
  if (isOdd || place > bytes.length - count * PROGRAM_HEADER_BYTES) return undefined;
  const loads: Load[] = [];
  for (let index = 0; index < count; index++) {
    const at = place + index * PROGRAM_HEADER_BYTES;
    if (bytes.readUInt32LE(at) !== PT_LOAD) continue;
    const load = {
      offset: start + placeAt(bytes, at + 8),
      bytes: placeAt(bytes, at + 32),
      address: bytes.readBigUInt64LE(at + 16),
      memoryBytes: bytes.readBigUInt64LE(at + 40),
    };
    if (load.offset - start > bytes.length || load.memoryBytes < BigInt(load.bytes))
      return undefined;
    loads.push(load);
  }
  return loads.length === 0 ? undefined : { loads, bases: readBases(bytes) };
}

function placeAt(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

/** Beginnings of sections and of tables inside them, by name. */
function readBases(bytes: Buffer): ReadonlyMap<string, bigint> {
  const bases = new Map<string, bigint>();
  for (const { name, address, place, size } of readSections(bytes)) {
    if (!BASE_SECTIONS.includes(name) || bases.has(name)) continue;
    bases.set(name, address);
    if (name !== '.gopclntab' || size < 128 || place > bytes.length - 128) continue;
    if (!GO_MAGICS.includes(bytes.readUInt32LE(place))) continue;
    for (const [index, table] of GO_TABLES.entries()) {
      const distance = bytes.readBigUInt64LE(place + GO_TABLES_AT + 8 * index);
      bases.set(`${name} ${table}`, BigInt.asUintN(64, address + distance));
    }
  }
  return bases;
}

interface Section {
  readonly name: string;
  readonly address: bigint;
  readonly place: number;
  readonly size: number;
}

function readSections(bytes: Buffer): Section[] {
  const [place, count, names] = [
    placeAt(bytes, 40),
    bytes.readUInt16LE(60),
    bytes.readUInt16LE(62),
  ];
  const isOdd = bytes.readUInt16LE(58) !== SECTION_HEADER_BYTES || count > SECTION_HEADERS_MAX;
  if (isOdd || names >= count || place > bytes.length - count * SECTION_HEADER_BYTES) return [];
  const namesPlace = placeAt(bytes, place + names * SECTION_HEADER_BYTES + 24);
  return Array.from({ length: count }, (_, index) => {
    const at = place + index * SECTION_HEADER_BYTES;
    return {
      name: nameAt(bytes, namesPlace + bytes.readUInt32LE(at)),
      address: bytes.readBigUInt64LE(at + 16),
      place: bytes.readUInt32LE(at + 4) === SHT_NOBITS ? bytes.length : placeAt(bytes, at + 24),
      size: placeAt(bytes, at + 32),
    };
  });
}

function nameAt(bytes: Buffer, place: number): string {
  if (place >= bytes.length) return '';
  const name = bytes.toString('latin1', place, place + NAME_BYTES_MAX);
  return name.split('\0', 1)[0] ?? '';
}

/** Index of an old file and of a new one. */
type Pair = readonly [from: number, to: number];

/** For each new file the old one that most of its changed bytes come from. */
function pairsOf(
  sides: {
    readonly oldBytes: Buffer;
    readonly newBytes: Buffer;
    readonly oldFiles: readonly ElfFile[];
    readonly newFiles: readonly ElfFile[];
  },
  copies: readonly Copy[],
): Pair[] {
  const [oldAreas, newAreas] = [areasOf(sides.oldFiles), areasOf(sides.newFiles)];
  const copied = new Map<number, Map<number, number>>();
  const changed = new Set<number>();
  for (const { newOffset, oldOffset, length } of copies) {
    const [from, to] = [areaAt(oldAreas, oldOffset), areaAt(newAreas, newOffset)];
    if (from < 0 || to < 0) continue;
    const sources = copied.get(to) ?? new Map<number, number>();
    sources.set(from, (sources.get(from) ?? 0) + length);
    copied.set(to, sources);
    if (changed.has(to)) continue;
    const [end, oldEnd] = [newOffset + length, oldOffset + length];
    if (sides.newBytes.compare(sides.oldBytes, oldOffset, oldEnd, newOffset, end) !== 0) {
      changed.add(to);
    }
  }
  return [...changed]
    .sort((a, b) => a - b)
    .map((to) => {
      const sources = [...(copied.get(to) ?? [])].sort((a, b) => b[1] - a[1]);
      return [sources[0]?.[0] ?? 0, to];
    });
}

interface Area {
  readonly start: number;
  readonly end: number;
}

function areasOf(files: readonly ElfFile[]): Area[] {
  return files.map(({ loads }) => ({
    start: loads[0]?.offset ?? 0,
    end: loads.reduce((end, { offset, bytes }) => Math.max(end, offset + bytes), 0),
  }));
}

/** Index of the area that has `place`, or -1. */
function areaAt(areas: readonly Area[], place: number): number {
  let [low, high] = [0, areas.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((areas[middle]?.start ?? 0) <= place) low = middle + 1;
    else high = middle;
  }
  const area = areas[low - 1];
  return area !== undefined && place < area.end ? low - 1 : -1;
}

/** As many pairs as there is room for. */
function fitting(
  pairs: readonly Pair[],
  oldFiles: readonly ElfFile[],
  newFiles: readonly ElfFile[],
): Pair[] {
  const chosen: Pair[] = [];
  let [oldCount, newCount] = [0, 0];
  const seen = new Set<number>();
  for (const pair of pairs) {
    const [from, to] = pair;
    oldCount += seen.has(from) ? 0 : (oldFiles[from]?.loads.length ?? 0);
    newCount += newFiles[to]?.loads.length ?? 0;
    if (oldCount > REGIONS_MAX || newCount > REGIONS_MAX) break;
    seen.add(from);
    chosen.push(pair);
  }
  return chosen;
}

function regionsOf(files: readonly ElfFile[], indexes: readonly number[]): AddressRegion[] {
  return indexes.flatMap((index, file) =>
    (files[index]?.loads ?? []).map((load) => ({ file, ...load })),
  );
}

function basesOf(
  pairs: readonly {
    readonly oldFile: number;
    readonly newFile: number;
    readonly old: ReadonlyMap<string, bigint>;
    readonly fresh: ReadonlyMap<string, bigint>;
  }[],
): AddressBase[] {
  const bases = pairs.flatMap(({ oldFile, newFile, old, fresh }) =>
    [...old].flatMap(([name, oldAddress]) => {
      const newAddress = fresh.get(name);
      return newAddress === undefined ? [] : [{ oldFile, newFile, oldAddress, newAddress }];
    }),
  );
  return bases.slice(0, BASES_MAX);
}
