/** The file system of the state partition through mke2fs. */
import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { guidFromHex } from '@keelos/proto/guid.ts';
import { findCommand } from '../../../scripts/lib/apt.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';
import { STATE_FILE_SYSTEM } from '../core/disk-layout.data.ts';
import type { Extent } from '../core/extent.ts';
import { readExtents } from './sparse-file.ts';

/** What decides about the bytes. */
export interface StateOptions {
  readonly sizeBytes: number;
  readonly epochSeconds: number;
  /** UUID of the file system. */
  readonly uuid: string;
  /** Path of a file that may be written. */
  readonly scratch: string;
}

/** Instead of the machine's own mke2fs.conf, which differs between distributions. */
const SETTINGS = `[defaults]
  base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
  default_mntopts = acl,user_xattr
  enable_periodic_fsck = 0
  inode_size = 256
[fs_types]
  ext4 = {
    features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
  }
`;

/** A UUID for the directory hash, fixed by the file system's own. */
function hashSeed(uuid: string): string {
  const digest = createHash('sha256').update(`keelos hash seed ${uuid}`).digest('hex');
  return guidFromHex(digest.slice(0, 32));
}

/**
 * Ranges of an empty ext4 file system that can grow online to {@link STATE_FILE_SYSTEM.growBlocksMax} blocks. Equal
 * options give equal bytes.
 */
export async function makeStateFileSystem(options: StateOptions): Promise<Extent[]> {
  const { blockBytes, bytesPerInode, growBlocksMax, label } = STATE_FILE_SYSTEM;
  const extended = [
    `resize=${growBlocksMax}`,
    `hash_seed=${hashSeed(options.uuid)}`,
    'lazy_itable_init=0',
    'lazy_journal_init=0',
    'root_owner=0:0',
    'nodiscard',
  ];
  await rm(options.scratch, { force: true });
  const settings = `${options.scratch}.conf`;
  await writeFile(settings, SETTINGS);
  await exec(
    findCommand('mke2fs') ?? 'mke2fs',
    [
      ...['-q', '-t', 'ext4', '-b', String(blockBytes), '-L', label, '-U', options.uuid],
      // Nothing is kept for root, which is the only writer; the journal is 8 MiB.
      ...['-m', '0', '-i', String(bytesPerInode), '-J', 'size=8', '-E', extended.join(',')],
      ...[options.scratch, `${options.sizeBytes / 1024}k`],
    ],
    { env: { E2FSPROGS_FAKE_TIME: String(options.epochSeconds), MKE2FS_CONFIG: settings } },
  );
  return readExtents(options.scratch);
}
