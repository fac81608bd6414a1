/** EFI variables, through efivarfs (Documentation/filesystems/efivarfs.rst). */

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
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
}
