/**
 * ELF files (System V ABI, 64-bit, little endian) anywhere in bytes. For the side that makes patches: a header that makes no
 * sense is passed over, and what it says wrongly only makes a patch larger.
 */
import { type AddressBase, BaseKind, REGIONS_OF_FILE_MAX } from './delta-addresses.ts';
import type { RecordTable } from './delta-records.ts';

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

/** Sections from whose beginning something is counted, and what. */
const BASE_SECTIONS: ReadonlyMap<string, readonly AddressBase['kind'][]> = new Map([
  ['.text', [BaseKind.offsets]],
  ['.rodata', [BaseKind.offsets, BaseKind.mixed]],
  ['.eh_frame_hdr', [BaseKind.offsets]],
  ['.gopclntab', [BaseKind.offsets]],
  ['.dynsym', [BaseKind.records]],
]);
/**
 * runtime.pcHeader of Go 1.18 and 1.20: the start of the code, and where tables lie, counted from the header; and how many
 * words further the end of runtime.moduledata lies.
 */
const GO_MAGICS: ReadonlyMap<number, number> = new Map([
  [0xfffffff0, 0],
  [0xfffffff1, 2],
]);
const GO_TEXT_AT = 24;
const GO_NAMES_AT = 32;
const GO_LINES_AT = 56;
const GO_FUNCTIONS_AT = 64;
/** Words of runtime.moduledata, which begins with a pointer to the header: `types` and `gofunc`. */
const GO_TYPES_WORD = 35;
const GO_FUNCTIONS_WORD = 38;
const GO_HEADER_BYTES = 72;

/** Bytes that a program header maps. */
export interface ElfLoad {
  /** In the side, not in the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly address: bigint;
  readonly memoryBytes: bigint;
}

/** A file, with its places in the side. */
export interface ElfFile {
  /** Sorted by place, without overlap; at least one. */
  readonly loads: readonly ElfLoad[];
  /** By name; the same name on both sides means the same. */
  readonly bases: ReadonlyMap<string, NamedBase>;
  /** Sections by name. */
  readonly tables: ReadonlyMap<string, RecordTable>;
}

/** Where something is counted from. */
export interface NamedBase {
  readonly address: bigint;
  readonly kind: AddressBase['kind'];
  readonly extra: number;
}

/** The files of a side, sorted by place; what a later file covers is taken from the one before. */
export function findElfFiles(bytes: Buffer): ElfFile[] {
  const files: { readonly start: number; readonly file: ElfFile }[] = [];
  for (let at = bytes.indexOf(MAGIC); at >= 0 && files.length < FILES_MAX; ) {
    const file = readElf(bytes.subarray(at), at);
    if (file !== undefined) files.push({ start: at, file });
    at = bytes.indexOf(MAGIC, at + MAGIC.length);
  }
  return files.map(({ file }, index) => {
    const end = files[index + 1]?.start ?? bytes.length;
    return { ...file, loads: separate(file.loads, end) };
  });
}

/** Loads in the order of their place, without overlap and before `end`. */
function separate(loads: readonly ElfLoad[], end: number): ElfLoad[] {
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
function readElf(bytes: Buffer, start: number): ElfFile | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const place = placeAt(bytes, 32);
  const count = bytes.readUInt16LE(56);
  const isOdd = bytes.readUInt16LE(54) !== PROGRAM_HEADER_BYTES || count > PROGRAM_HEADERS_MAX;
  if (isOdd || place > bytes.length - count * PROGRAM_HEADER_BYTES) return undefined;
  const loads: ElfLoad[] = [];
  for (let index = 0; index < count; index++) {
    const at = place + index * PROGRAM_HEADER_BYTES;
    if (bytes.readUInt32LE(at) !== PT_LOAD) continue;
    const load: ElfLoad = {
      offset: start + placeAt(bytes, at + 8),
      bytes: placeAt(bytes, at + 32),
      address: bytes.readBigUInt64LE(at + 16),
      memoryBytes: bytes.readBigUInt64LE(at + 40),
    };
    if (load.offset - start > bytes.length || load.memoryBytes < BigInt(load.bytes))
      return undefined;
    loads.push(load);
  }
  return loads.length === 0 ? undefined : { loads, ...readTables(bytes, start) };
}

function placeAt(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

/** Beginnings of sections and of tables inside them, and where tables of records lie, by name. */
function readTables(bytes: Buffer, start: number): Pick<ElfFile, 'bases' | 'tables'> {
  const bases = new Map<string, NamedBase>();
  const tables = new Map<string, RecordTable>();
  for (const { name, address, place, size } of readSections(bytes)) {
    if (tables.has(name)) continue;
    if (size <= bytes.length - place) tables.set(name, { place: start + place, bytes: size });
    for (const kind of BASE_SECTIONS.get(name) ?? []) {
      bases.set(`${name} ${kind}`, { address, kind, extra: 0 });
    }
    if (name !== '.gopclntab' || size < GO_HEADER_BYTES) continue;
    addGoBases(bases, bytes, { place, address });
  }
  addNameBase(bases, bytes);
  return { bases, tables };
}

/** What Go's tables count from: its types and functions from four places, which its module data names. */
function addGoBases(
  bases: Map<string, NamedBase>,
  bytes: Buffer,
  { place, address }: Pick<Section, 'place' | 'address'>,
): void {
  if (place > bytes.length - GO_HEADER_BYTES) return;
  const wordsMore = GO_MAGICS.get(bytes.readUInt32LE(place));
  if (wordsMore === undefined) return;
  const pointer = Buffer.alloc(8);
  pointer.writeBigUInt64LE(address);
  const data = bytes.indexOf(pointer);
  const at = (word: number) => data + 8 * (word + wordsMore);
  const isThere = data >= 0 && at(GO_FUNCTIONS_WORD) <= bytes.length - 8;
  const table = (distance: number) =>
    BigInt.asUintN(64, address + bytes.readBigUInt64LE(place + distance));
  const offsets = { kind: BaseKind.offsets, extra: 0 };
  if (isThere) {
    const types = bytes.readBigUInt64LE(at(GO_TYPES_WORD));
    bases.set('go types', { address: types, kind: BaseKind.mixedCompany, extra: 0 });
  }
  const code = bytes.readBigUInt64LE(place + GO_TEXT_AT);
  bases.set('go code', { address: code, kind: BaseKind.company, extra: 0 });
  bases.set('go names', { address: table(GO_NAMES_AT), ...offsets });
  bases.set('go lines', { address: table(GO_LINES_AT), ...offsets });
  const functions = isThere ? bytes.readBigUInt64LE(at(GO_FUNCTIONS_WORD)) : code;
  bases.set('go function data', { address: functions, ...offsets });
  bases.set('go functions', { address: table(GO_FUNCTIONS_AT), ...offsets });
}

/** The names of symbols count from .dynstr. */
function addNameBase(bases: Map<string, NamedBase>, bytes: Buffer): void {
  const sections = readSections(bytes);
  const symbols = sections.find(({ name }) => name === '.dynsym');
  const names = sections.find(({ name }) => name === '.dynstr');
  if (symbols === undefined || names === undefined) return;
  const extra = Number(symbols.address % 24n);
  bases.set('names', { address: names.address, kind: BaseKind.symbols, extra });
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
