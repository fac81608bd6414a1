/**
 * The text files that systemd-boot reads on a fresh disk.
 *
 * Boot Loader Specification, https://uapi-group.org/specifications/specs/boot_loader_specification/
 */
import {
  COMMITTED_TRIES,
  ENTRIES_DIR,
  entryFileName,
  entryText,
  kernelImagePath,
} from '@keelos/proto/boot-entry.ts';

/**
 * loader.conf: no menu, no editing of the command line, no entry that KeelOS did not write. Without the last line the
 * loader starts the firmware's set-up when it finds no entry, instead of leaving the next boot option to the firmware.
 */
export const LOADER_CONFIG = [
  'timeout 0',
  'editor no',
  'auto-entries no',
  'auto-firmware no',
  '',
].join('\n');

/** Path of a committed entry: `keel-<sequence>+9.conf`. */
export function committedEntryPath(sequence: number): string {
  const counter = { left: COMMITTED_TRIES, done: 0 };
  return `${ENTRIES_DIR}/${entryFileName({ sequence, counter })}`;
}

/** Contents of a type 1 entry that starts the kernel image of a root. */
export function bootEntry(facts: { readonly version: string; readonly rootHash: string }): string {
  return entryText({ version: facts.version, uki: kernelImagePath(facts.rootHash) });
}

/** Contents of /etc/os-release. */
export function osRelease(facts: {
  readonly version: string;
  readonly buildEpochSeconds: number;
}): string {
  return [
    'ID=keelos',
    'NAME=KeelOS',
    `PRETTY_NAME="KeelOS ${facts.version}"`,
    `VERSION_ID=${facts.version}`,
    `BUILD_EPOCH=${facts.buildEpochSeconds}`,
    '',
  ].join('\n');
}
