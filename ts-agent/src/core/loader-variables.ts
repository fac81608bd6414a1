/** Variables that systemd-boot sets for the running system (Boot Loader Interface, https://systemd.io/BOOT_LOADER_INTERFACE/). */

const VENDOR = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';

/** Name of the entry that it started, as it was before the try was counted. */
export const LOADER_SELECTED = `LoaderEntrySelected-${VENDOR}`;
/** Path of the loader's own file. */
export const LOADER_IMAGE = `LoaderImageIdentifier-${VENDOR}`;

/** The text of such a variable: UTF-16, up to its zero. */
export function loaderText(data: Uint8Array): string {
  return Buffer.from(data).toString('utf16le').replace(/\0.*$/s, '');
}
