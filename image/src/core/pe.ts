/**
 * Portable Executable images (EFI programs): the headers, as far as adding and listing sections needs them.
 *
 * PE Format, https://learn.microsoft.com/windows/win32/debug/pe-format. Only PE32+ for x86-64.
 */
import { KeelError } from '@keelos/proto/errors.ts';

const DOS_HEADER_BYTES = 64;
const PE_OFFSET_AT = 0x3c;
const COFF_BYTES = 20;
const SECTION_HEADER_BYTES = 40;
const MACHINE_X86_64 = 0x8664;
const MAGIC_PE32_PLUS = 0x20b;
const OPTIONAL_HEADER_BYTES_MIN = 112;
const SECTIONS_MAX = 96;

/** One section header. */
export interface PeSection {
  readonly name: string;
  readonly virtualSize: number;
  readonly virtualAddress: number;
  readonly rawSize: number;
  readonly rawOffset: number;
}

/** What the headers say, with the places that a writer must change. */
export interface PeImage {
  readonly sections: readonly PeSection[];
  readonly sectionAlignment: number;
  readonly fileAlignment: number;
  readonly sizeOfImage: number;
  readonly sizeOfHeaders: number;
  /** File offset of the COFF header. */
  readonly coffOffset: number;
  /** File offset of the optional header. */
  readonly optionalOffset: number;
  /** File offset of the first section header. */
  readonly sectionTableOffset: number;
}

function refuse(reason: string): never {
  throw new KeelError('E_IMAGE_INVALID', `Cannot read EFI program: ${reason}`);
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function parseSection(header: Buffer, fileBytes: number): PeSection {
  const end = header.subarray(0, 8).indexOf(0);
  const section = {
    name: header.toString('latin1', 0, end < 0 ? 8 : end),
    virtualSize: header.readUInt32LE(8),
    virtualAddress: header.readUInt32LE(12),
    rawSize: header.readUInt32LE(16),
    rawOffset: header.readUInt32LE(20),
  };
  if (section.rawSize > 0 && section.rawOffset + section.rawSize > fileBytes) {
    refuse(`section ${section.name} ends behind the end of the file`);
  }
  return section;
}

/**
 * Reads the headers of a PE32+ image for x86-64.
 *
 * @throws KeelError E_IMAGE_INVALID when they are cut short, inconsistent, or of another kind.
 */
export function parsePe(bytes: Uint8Array): PeImage {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < DOS_HEADER_BYTES || file.toString('latin1', 0, 2) !== 'MZ') refuse('no MZ');
  const signatureOffset = file.readUInt32LE(PE_OFFSET_AT);
  const coffOffset = signatureOffset + 4;
  const optionalOffset = coffOffset + COFF_BYTES;
  if (optionalOffset + OPTIONAL_HEADER_BYTES_MIN > file.length) refuse('headers are cut short');
  if (file.toString('latin1', signatureOffset, coffOffset) !== 'PE\0\0') refuse('no PE signature');
  const machine = file.readUInt16LE(coffOffset);
  if (machine !== MACHINE_X86_64) refuse(`machine 0x${machine.toString(16)}, expected x86-64`);
  if (file.readUInt16LE(optionalOffset) !== MAGIC_PE32_PLUS) refuse('not PE32+');
  const sectionCount = file.readUInt16LE(coffOffset + 2);
  const optionalBytes = file.readUInt16LE(coffOffset + 16);
  const sectionTableOffset = optionalOffset + optionalBytes;
  const sectionTableEnd = sectionTableOffset + sectionCount * SECTION_HEADER_BYTES;
  if (sectionCount > SECTIONS_MAX) refuse(`${sectionCount} sections, limit ${SECTIONS_MAX}`);
  if (optionalBytes < OPTIONAL_HEADER_BYTES_MIN)
    refuse(`optional header of ${optionalBytes} bytes`);
  const image = {
    sectionAlignment: file.readUInt32LE(optionalOffset + 32),
    fileAlignment: file.readUInt32LE(optionalOffset + 36),
    sizeOfImage: file.readUInt32LE(optionalOffset + 56),
    sizeOfHeaders: file.readUInt32LE(optionalOffset + 60),
    coffOffset,
    optionalOffset,
    sectionTableOffset,
  };
  if (sectionTableEnd > image.sizeOfHeaders || image.sizeOfHeaders > file.length) {
    refuse('the section table does not fit the headers');
  }
  if (!isPowerOfTwo(image.sectionAlignment) || !isPowerOfTwo(image.fileAlignment)) {
    refuse('alignments are not powers of two');
  }
  const sections = Array.from({ length: sectionCount }, (_, position) => {
    const at = sectionTableOffset + position * SECTION_HEADER_BYTES;
    return parseSection(file.subarray(at, at + SECTION_HEADER_BYTES), file.length);
  });
  return { ...image, sections };
}

/**
 * Contents of the section named `name`: the meaningful bytes, without the padding behind them.
 *
 * Returns undefined when there is no such section.
 * @throws KeelError E_IMAGE_INVALID when the image is not a PE32+ image.
 */
export function peSection(bytes: Uint8Array, name: string): Buffer | undefined {
  const section = parsePe(bytes).sections.find((candidate) => candidate.name === name);
  if (section === undefined) return undefined;
  const length = Math.min(section.virtualSize, section.rawSize);
  return Buffer.from(bytes.buffer, bytes.byteOffset + section.rawOffset, length);
}

/** A section to add. */
export interface NewSection {
  /** At most 8 bytes, ASCII. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** Readable, initialised data. */
const CHARACTERISTICS_DATA = 0x40000040;

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/**
 * A copy of `image` with sections behind those that it has, each at the next aligned address and file offset.
 *
 * The checksum is set to 0 (UEFI does not look at it) and any signature is dropped.
 * @throws KeelError E_IMAGE_INVALID when the image is malformed or its headers have no room.
 */
export function addPeSections(image: Uint8Array, added: readonly NewSection[]): Buffer {
  const pe = parsePe(image);
  const known = new Set(pe.sections.map((section) => section.name));
  const count = pe.sections.length + added.length;
  const tableEnd = pe.sectionTableOffset + count * SECTION_HEADER_BYTES;
  if (pe.sections.length === 0) refuse('it has no sections');
  const firstData = Math.min(
    pe.sizeOfHeaders,
    ...pe.sections.filter((section) => section.rawSize > 0).map((section) => section.rawOffset),
  );
  if (tableEnd > firstData) refuse(`its headers have no room for ${added.length} more sections`);
  const source = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  const dataEnd = Math.max(...pe.sections.map((section) => section.rawOffset + section.rawSize));
  let fileEnd = alignUp(Math.max(dataEnd, pe.sizeOfHeaders), pe.fileAlignment);
  let addressEnd = Math.max(
    ...pe.sections.map((section) => section.virtualAddress + section.virtualSize),
  );
  const parts = [source.subarray(0, dataEnd), Buffer.alloc(fileEnd - dataEnd)];
  const headers: Buffer[] = [];
  for (const { name, data } of added) {
    if (known.has(name)) refuse(`it already has a section ${name}`);
    known.add(name);
    if (Buffer.byteLength(name) > 8) throw new TypeError(`section name ${name} is over 8 bytes`);
    const rawSize = alignUp(data.length, pe.fileAlignment);
    const virtualAddress = alignUp(addressEnd, pe.sectionAlignment);
    const header = Buffer.alloc(SECTION_HEADER_BYTES);
    header.write(name, 0, 'latin1');
    header.writeUInt32LE(data.length, 8);
    header.writeUInt32LE(virtualAddress, 12);
    header.writeUInt32LE(rawSize, 16);
    header.writeUInt32LE(fileEnd, 20);
    header.writeUInt32LE(CHARACTERISTICS_DATA, 36);
    headers.push(header);
    parts.push(Buffer.from(data), Buffer.alloc(rawSize - data.length));
    fileEnd += rawSize;
    addressEnd = virtualAddress + data.length;
  }
  const out = Buffer.concat(parts);
  out.writeUInt16LE(count, pe.coffOffset + 2);
  out.writeUInt32LE(alignUp(addressEnd, pe.sectionAlignment), pe.optionalOffset + 56);
  out.writeUInt32LE(0, pe.optionalOffset + 64);
  dropSignature(out, pe.optionalOffset);
  Buffer.concat(headers).copy(
    out,
    pe.sectionTableOffset + pe.sections.length * SECTION_HEADER_BYTES,
  );
  return out;
}

/** Data directory 4 points at a signature behind the sections, which a changed image no longer has. */
function dropSignature(image: Buffer, optionalOffset: number): void {
  const directoryCount = image.readUInt32LE(optionalOffset + 108);
  if (directoryCount > 4) image.fill(0, optionalOffset + 144, optionalOffset + 152);
}
