/**
 * The text files that systemd-boot reads, and the names of kernel images.
 *
 * Boot Loader Specification, https://uapi-group.org/specifications/specs/boot_loader_specification/
 */
import { COMMITTED_TRIES, ESP_PATHS } from './disk-layout.data.ts';

/** Digits of the root hash in the name of a kernel image. */
const NAME_DIGITS = 8;

/** loader.conf: no menu, no editing of the command line. */
export const LOADER_CONFIG = ['timeout 0', 'editor no', 'auto-entries no', ''].join('\n');

/** Path on the EFI system partition of the kernel image for a root. */
export function ukiPath(rootHash: string): string {
  return `${ESP_PATHS.ukiDir}/${rootHash.slice(0, NAME_DIGITS)}.efi`;
}

/** Path of a committed entry: `keel-<sequence>+9.conf`. */
export function committedEntryPath(sequence: number): string {
  return `${ESP_PATHS.entriesDir}/keel-${sequence}+${COMMITTED_TRIES}.conf`;
}

/** Contents of a type 1 entry that starts a kernel image. */
export function bootEntry(facts: { readonly version: string; readonly rootHash: string }): string {
  return [
    `title KeelOS ${facts.version}`,
    `version ${facts.version}`,
    'architecture x64',
    `efi /${ukiPath(facts.rootHash)}`,
    '',
  ].join('\n');
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
