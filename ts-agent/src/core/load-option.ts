/**
 * Boot options of UEFI firmware: the contents of a variable Boot####.
 *
 *     attributes (4) | bytes of the path (2) | description, UTF-16 with a zero | device path | data of its own
 *     device path node: type (1) | subtype (1) | bytes with these four (2) | data
 *
 * UEFI Specification 2.10, sections 3.1.3 (load options), 10.3.1, 10.3.5.1 (hard drive), 10.3.5.4 (file path).
 */
import { guidBytes, guidText } from '@keelos/proto/guid.ts';

/** LOAD_OPTION_ACTIVE: the firmware tries it. */
export const LOAD_OPTION_ACTIVE = 1;
/** Longest option that is read, and longest description, in bytes and UTF-16 units. */
const OPTION_BYTES_MAX = 4096;
const DESCRIPTION_UNITS_MAX = 128;
/** Nodes of a device path. */
const NODES_MAX = 32;
const NODE_HEADER_BYTES = 4;
const TYPE_MEDIA = 4;
const SUBTYPE_HARD_DRIVE = 1;
const SUBTYPE_FILE_PATH = 4;
const TYPE_END = 0x7f;
const SUBTYPE_END_ENTIRE = 0xff;
const HARD_DRIVE_BYTES = 42;
const FORMAT_GPT = 2;
const SIGNATURE_GUID = 2;

/** The partition that a boot option names. */
export interface OptionPartition {
  readonly number: number;
  readonly firstLba: number;
  readonly sectors: number;
  /** Lower case. */
  readonly guid: string;
}

/** A boot option that starts a file of a partition. */
export interface LoadOption {
  readonly description: string;
  readonly isActive: boolean;
  readonly partition: OptionPartition;
  /** With "/" between names and none at the start. */
  readonly path: string;
}

/** What could be read of a boot option: any firmware's. */
export type ReadOption = Pick<LoadOption, 'description' | 'isActive'> &
  Partial<Pick<LoadOption, 'partition' | 'path'>> & {
    /** Bytes behind the device path, which a kernel image may take for its command line. */
    readonly dataBytes: number;
  };

function utf16(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le');
}

function node(type: number, subtype: number, data: Buffer): Buffer {
  const header = Buffer.alloc(NODE_HEADER_BYTES);
  header[0] = type;
  header[1] = subtype;
  header.writeUInt16LE(NODE_HEADER_BYTES + data.length, 2);
  return Buffer.concat([header, data]);
}

function hardDrive(partition: OptionPartition): Buffer {
  const data = Buffer.alloc(HARD_DRIVE_BYTES - NODE_HEADER_BYTES);
  data.writeUInt32LE(partition.number, 0);
  data.writeBigUInt64LE(BigInt(partition.firstLba), 4);
  data.writeBigUInt64LE(BigInt(partition.sectors), 12);
  guidBytes(partition.guid).copy(data, 20);
  data[36] = FORMAT_GPT;
  data[37] = SIGNATURE_GUID;
  return node(TYPE_MEDIA, SUBTYPE_HARD_DRIVE, data);
}

/**
 * Bytes of a boot option with the short form of a device path, which begins at the partition.
 *
 * @throws RangeError for a description over 128 units
 */
export function encodeLoadOption(option: LoadOption): Buffer {
  if (option.description.length > DESCRIPTION_UNITS_MAX) {
    throw new RangeError(`a description of ${option.description.length} units`);
  }
  const file = utf16(`\\${option.path.replaceAll('/', '\\')}`);
  const path = Buffer.concat([
    hardDrive(option.partition),
    node(TYPE_MEDIA, SUBTYPE_FILE_PATH, file),
    node(TYPE_END, SUBTYPE_END_ENTIRE, Buffer.alloc(0)),
  ]);
  const header = Buffer.alloc(6);
  header.writeUInt32LE(option.isActive ? LOAD_OPTION_ACTIVE : 0, 0);
  header.writeUInt16LE(path.length, 4);
  return Buffer.concat([header, utf16(option.description), path]);
}

/** Reads a boot option; undefined when it is none. A device path of another kind leaves partition and path out. */
export function decodeLoadOption(bytes: Uint8Array): ReadOption | undefined {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length < 8 || data.length > OPTION_BYTES_MAX) return undefined;
  const pathBytes = data.readUInt16LE(4);
  let at = 6;
  while (at + 2 <= data.length && data.readUInt16LE(at) !== 0) at += 2;
  const pathAt = at + 2;
  if (pathAt > data.length || pathBytes > data.length - pathAt) return undefined;
  return {
    description: data.toString('utf16le', 6, at),
    isActive: (data.readUInt32LE(0) & LOAD_OPTION_ACTIVE) !== 0,
    ...devicePath(data.subarray(pathAt, pathAt + pathBytes)),
    dataBytes: data.length - pathAt - pathBytes,
  };
}

function devicePath(bytes: Buffer): Partial<Pick<LoadOption, 'partition' | 'path'>> {
  let partition: OptionPartition | undefined;
  let path = '';
  let at = 0;
  for (let count = 0; count < NODES_MAX && bytes.length - at >= NODE_HEADER_BYTES; count += 1) {
    const lengthBytes = bytes.readUInt16LE(at + 2);
    if (lengthBytes < NODE_HEADER_BYTES || lengthBytes > bytes.length - at) return {};
    const type = bytes.readUInt8(at);
    const subtype = bytes.readUInt8(at + 1);
    const data = bytes.subarray(at + NODE_HEADER_BYTES, at + lengthBytes);
    if (type === TYPE_END) break;
    if (type === TYPE_MEDIA && subtype === SUBTYPE_HARD_DRIVE) partition = partitionOf(data);
    if (type === TYPE_MEDIA && subtype === SUBTYPE_FILE_PATH) {
      path += data.toString('utf16le').replace(/\0.*$/s, '');
    }
    at += lengthBytes;
  }
  return {
    ...(partition === undefined ? {} : { partition }),
    ...(path === '' ? {} : { path: path.replaceAll('\\', '/').replace(/^\/+/, '') }),
  };
}

function partitionOf(data: Buffer): OptionPartition | undefined {
  if (data.length !== HARD_DRIVE_BYTES - NODE_HEADER_BYTES) return undefined;
  if (data[36] !== FORMAT_GPT || data[37] !== SIGNATURE_GUID) return undefined;
  return {
    number: data.readUInt32LE(0),
    firstLba: Number(data.readBigUInt64LE(4)),
    sectors: Number(data.readBigUInt64LE(12)),
    guid: guidText(data.subarray(20, 36)),
  };
}
