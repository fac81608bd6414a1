/**
 * EFI variables, through efivarfs (Documentation/filesystems/efivarfs.rst): a file is the attributes (4 bytes), then the
 * data. Most files are immutable, so that nobody removes them by mistake; boot options are not
 * (`efivar_variable_is_removable`, drivers/firmware/efi/vars.c), and nothing else is written here.
 */
import { statfsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';

/** A variable's attributes and data. */
export interface FirmwareVariable {
  readonly attributes: number;
  readonly data: Uint8Array;
}

/** The port. */
export interface FirmwareVariables {
  /** False where the firmware keeps no variables (efivarfs is not mounted, or read-only). */
  readonly isAvailable: boolean;
  /** `name` with its vendor GUID, for example "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c". */
  read(name: string): Promise<FirmwareVariable | undefined>;
  /** @throws KeelError E_INTERNAL when the firmware refuses it */
  write(name: string, variable: FirmwareVariable): Promise<void>;
  /** One that is not there is fine. @throws KeelError E_INTERNAL when the firmware refuses it */
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

/** Where efivarfs is mounted. */
export const EFIVARS_DIR = '/sys/firmware/efi/efivars';
/** EFIVARFS_MAGIC of linux/magic.h. */
const EFIVARFS_TYPE = 0xde5e81e4;
/** Largest variable that is read: boot options and loader variables are below 1 KiB. */
const VARIABLE_BYTES_MAX = 65_536;
const ATTRIBUTE_BYTES = 4;
const NAME = /^[\x21-\x7e]+$/;

/** The variables of this machine. */
export function linuxFirmwareVariables(directory = EFIVARS_DIR): FirmwareVariables {
  // Asked each time: the file system may be mounted after the agent has started.
  return variablesIn(directory, () => {
    try {
      return statfsSync(directory).type === EFIVARFS_TYPE;
    } catch {
      // Nothing is there: the machine was not started by UEFI.
      return false;
    }
  });
}

/** Variables in a directory, which a test makes; `isAvailable` is what it says. */
export function variablesIn(directory: string, isAvailable: () => boolean): FirmwareVariables {
  const pathOf = (name: string) => {
    if (!NAME.test(name) || name.includes('/')) throw new TypeError(`no variable ${name}`);
    return join(directory, name);
  };
  return {
    get isAvailable() {
      return isAvailable();
    },
    async read(name) {
      const bytes = await readFile(pathOf(name)).catch(() => undefined);
      if (bytes === undefined || bytes.length < ATTRIBUTE_BYTES) return undefined;
      if (bytes.length > VARIABLE_BYTES_MAX) return undefined;
      return { attributes: bytes.readUInt32LE(0), data: bytes.subarray(ATTRIBUTE_BYTES) };
    },
    async write(name, { attributes, data }) {
      const bytes = Buffer.alloc(ATTRIBUTE_BYTES + data.length);
      bytes.writeUInt32LE(attributes, 0);
      bytes.set(data, ATTRIBUTE_BYTES);
      try {
        // One write(2), as the kernel wants it: a variable is set with every call.
        await writeFile(pathOf(name), bytes);
      } catch (cause) {
        throw refused('write', name, cause);
      }
    },
    async remove(name) {
      try {
        await rm(pathOf(name), { force: true });
      } catch (cause) {
        throw refused('remove', name, cause);
      }
    },
    list: () => readdir(directory).catch(() => []),
  };
}

function refused(verb: string, name: string, cause: unknown): KeelError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  const variable = name.split('-')[0] ?? name;
  return new KeelError('E_INTERNAL', `Cannot ${verb} firmware variable ${variable}: ${code}`, {
    cause,
    hint: 'The firmware may have no room for variables: look at its set-up, and at osctl slots.',
  });
}
