/** What the reader tells of a thing in a SquashFS. */
import type { SquashfsInstance } from './squashfs-instance.ts';
import {
  type DeviceNumbers,
  deviceNumbers,
  type EntryType,
  type InodeRecord,
  NONE,
} from './squashfs-records.ts';

/** An extended attribute. */
export interface Attribute {
  /** With its prefix, for example "user.mime_type". */
  readonly name: string;
  readonly value: Uint8Array;
}

/** A thing in a file system, found under one of its names. */
export interface SquashfsEntry {
  /** From the root: "/" or "/etc/hosts". Bytes that are no UTF-8 are replaced; `pathBytes` has them all. */
  readonly path: string;
  readonly pathBytes: Uint8Array;
  readonly type: EntryType;
  /** 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Of a file or of a link's target; 0 otherwise. */
  readonly sizeBytes: number;
  readonly target: string | undefined;
  readonly device: DeviceNumbers | undefined;
  /** Number of the inode: hard links have the same. */
  readonly inode: number;
  readonly nlink: number;
  readonly xattrs: readonly Attribute[];
  /** Where the inode is; for the reader. */
  readonly reference: bigint;
}

const PREFIXES = ['user.', 'trusted.', 'security.'] as const;

/** The entry for the inode that `instance` read last. */
export function describeEntry(
  instance: SquashfsInstance,
  { path, record }: { readonly path: Buffer; readonly record: InodeRecord },
): SquashfsEntry {
  const { type, mode, uid, gid, mtimeSeconds, number, links, reference } = record;
  const isDevice = type === 'block-device' || type === 'character-device';
  const hasSize = type === 'file' || type === 'symlink';
  return {
    path: path.toString('utf8'),
    pathBytes: path,
    ...{ type, mode, uid, gid, mtimeSeconds, reference },
    sizeBytes: hasSize ? record.sizeBytes : 0,
    target: type === 'symlink' ? targetOf(instance, record) : undefined,
    device: isDevice ? deviceNumbers(record.device) : undefined,
    inode: number,
    nlink: links,
    xattrs: record.xattr === NONE ? [] : attributesOf(instance, record.xattr),
  };
}

function targetOf(instance: SquashfsInstance, { sizeBytes }: InodeRecord): string {
  return Buffer.from(instance.copy(instance.exports.targetPointer(), sizeBytes)).toString('utf8');
}

function attributesOf(instance: SquashfsInstance, index: number): Attribute[] {
  const action = 'read attributes';
  const found: Attribute[] = [];
  instance.run(action, (exports) => exports.openAttributes(index));
  while (instance.exports.attributesToRead() !== 0) {
    instance.run(action, (exports) => exports.nextAttributeOfList());
    const { exports } = instance;
    const name = instance.copy(exports.attributeNamePointer(), exports.attributeNameBytes());
    found.push({
      name: `${PREFIXES[exports.attributePrefix()]}${Buffer.from(name).toString('utf8')}`,
      value: instance.copy(exports.attributeValuePointer(), exports.attributeValueBytes()),
    });
  }
  return found;
}
