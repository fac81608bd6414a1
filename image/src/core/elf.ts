/**
 * ELF files: the shared libraries that one needs. Only 64-bit little-endian x86-64.
 *
 * System V ABI, "Program Header" and "Dynamic Section".
 */
import { KeelError } from '@keelos/proto/errors.ts';

/** First bytes of every ELF file. */
export const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const PROGRAM_HEADERS_MAX = 256;
const DYNAMIC_ENTRIES_MAX = 4096;
const MACHINE_X86_64 = 62;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const NAME_BYTES_MAX = 256;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileBytes: number;
}

function refuse(reason: string): never {
  throw new KeelError('E_IMAGE_INVALID', `Cannot read ELF file: ${reason}`);
}

function segments(file: Buffer): Segment[] {
  const tableOffset = Number(file.readBigUInt64LE(32));
  const count = file.readUInt16LE(56);
  if (count > PROGRAM_HEADERS_MAX) refuse(`${count} program headers`);
  if (file.readUInt16LE(54) !== PROGRAM_HEADER_BYTES && count > 0) refuse('odd program headers');
  if (tableOffset + count * PROGRAM_HEADER_BYTES > file.length) refuse('cut short');
  return Array.from({ length: count }, (_, position) => {
    const at = tableOffset + position * PROGRAM_HEADER_BYTES;
    const segment = {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: file.readBigUInt64LE(at + 16),
      fileBytes: Number(file.readBigUInt64LE(at + 32)),
    };
    if (segment.offset + segment.fileBytes > file.length) refuse('a segment is cut short');
    return segment;
  });
}

function fileOffset(loaded: readonly Segment[], address: bigint): number {
  for (const segment of loaded) {
    const inside = address - segment.address;
    if (segment.type === PT_LOAD && inside >= 0n && inside < BigInt(segment.fileBytes)) {
      return segment.offset + Number(inside);
    }
  }
  return refuse('its string table is not in a segment');
}

/**
 * Reads the dynamic section.
 *
 * @returns names of the needed libraries, in the file's order; none for a static program
 * @throws KeelError E_IMAGE_INVALID when the file is cut short, inconsistent, or for another machine.
 */
export function parseElf(bytes: Uint8Array): { readonly needed: readonly string[] } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < HEADER_BYTES || !file.subarray(0, 4).equals(ELF_MAGIC)) refuse('no header');
  if (file[4] !== 2 || file[5] !== 1 || file.readUInt16LE(18) !== MACHINE_X86_64) {
    refuse('not for 64-bit x86');
  }
  const all = segments(file);
  const dynamic = all.find((segment) => segment.type === PT_DYNAMIC);
  if (dynamic === undefined) return { needed: [] };
  const offsets: bigint[] = [];
  let stringTable: bigint | undefined;
  const count = Math.floor(dynamic.fileBytes / 16);
  if (count > DYNAMIC_ENTRIES_MAX) refuse(`${count} dynamic entries`);
  for (let position = 0; position < count; position += 1) {
    const tag = file.readBigUInt64LE(dynamic.offset + position * 16);
    const value = file.readBigUInt64LE(dynamic.offset + position * 16 + 8);
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) offsets.push(value);
    if (tag === DT_STRTAB) stringTable = value;
  }
  if (offsets.length === 0) return { needed: [] };
  if (stringTable === undefined) refuse('no string table');
  const table = fileOffset(all, stringTable);
  return {
    needed: offsets.map((offset) => {
      const at = table + Number(offset);
      const end = file.subarray(at, at + NAME_BYTES_MAX).indexOf(0);
      if (at > file.length || end <= 0) refuse('a library name is cut short');
      return file.toString('latin1', at, at + end);
    }),
  };
}
