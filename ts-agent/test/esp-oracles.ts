/** Other people's tools on an EFI system partition: fsck.vfat and mtools. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCommand } from '../../scripts/lib/apt.mjs';
import type { OverlayDisk, Sectors } from './cut-disk.ts';

const SECTOR_BYTES = 512;

/** A file with the bytes of a partition, for tools. */
export class EspFile {
  readonly path: string;
  readonly #directory: string;
  #base: Buffer;

  constructor(base: Buffer) {
    this.#directory = mkdtempSync(join(tmpdir(), 'keel-esp-'));
    this.path = join(this.#directory, 'esp.img');
    this.#base = base;
    writeFileSync(this.path, base);
  }

  /** Makes the file what `disk` is, lets `look` see it, and puts it back. */
  with<T>({ sectors }: Pick<OverlayDisk, 'sectors'> | { sectors: Sectors }, look: () => T): T {
    const write = (contentOf: (sector: number) => Buffer) => {
      const file = openSync(this.path, 'r+');
      for (const sector of sectors.keys()) {
        writeSync(file, contentOf(sector), 0, SECTOR_BYTES, sector * SECTOR_BYTES);
      }
      closeSync(file);
    };
    write((sector) => sectors.get(sector) ?? Buffer.alloc(SECTOR_BYTES));
    try {
      return look();
    } finally {
      const at = (sector: number) => sector * SECTOR_BYTES;
      write((sector) => this.#base.subarray(at(sector), at(sector) + SECTOR_BYTES));
    }
  }

  /** Complaints of fsck.vfat; empty when it has none. */
  complaints(): string {
    const { status, stdout } = spawnSync(findCommand('fsck.vfat') ?? '', ['-n', this.path], {
      encoding: 'utf8',
    });
    return status === 0 ? '' : `exit ${status}: ${stdout}`;
  }

  /** Contents of a file as mtools read it. */
  read(path: string): Buffer {
    return execFileSync('mtype', ['-i', this.path, `::${path}`], { maxBuffer: 2 ** 26 });
  }

  /** All bytes as they are now. */
  snapshot(): Buffer {
    this.#base = readFileSync(this.path);
    return this.#base;
  }

  /** Runs one of the mtools on the partition. */
  mtool(name: string, ...args: string[]): string {
    return execFileSync(name, ['-i', this.path, ...args], { encoding: 'utf8' });
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
