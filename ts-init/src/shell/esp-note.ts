/**
 * The note on the EFI system partition (proto/src/trial-traces.ts), for when the state partition is lost. The kernel's
 * page cache is read and written, one place of 2 KiB that no file system uses.
 */
import { PARTITION_NAMES } from '@keelos/proto/node-paths.ts';
import {
  BOOT_SECTOR_BYTES,
  decodeEspNote,
  ESP_NOTE,
  type EspNote,
  encodeEspNote,
  noteRoomProblem,
} from '@keelos/proto/trial-traces.ts';
import { choosePartition } from '../core/state-partition.ts';
import { bounded, type Machine, reasonOf } from './machine.ts';
import { listPartitions, rootDiskName } from './partitions.ts';

/** Time for two small reads of a slow disk. */
const READ_MS = 3_000;
const PLACE = { offsetBytes: ESP_NOTE.offsetBytes, lengthBytes: ESP_NOTE.sizeBytes };

/** The note, or why it cannot be read, or that there is none. */
export async function readEspNote(machine: Machine): Promise<EspNote | string> {
  try {
    const device = espDevice(machine);
    if (device === undefined) return 'no EFI system partition';
    const place = await bounded(machine.clock, READ_MS, readPlace(machine, device));
    if (place === 'timeout') return `no answer from ${device} in ${READ_MS} ms`;
    return typeof place === 'string' ? place : decodeEspNote(place);
  } catch (error) {
    return reasonOf(error);
  }
}

/** Writes a note, or with undefined makes its place empty. Returns why it was not done, or an empty text. */
export async function writeEspNote(machine: Machine, note: EspNote | undefined): Promise<string> {
  try {
    const device = espDevice(machine);
    if (device === undefined) return 'no EFI system partition';
    const place = await bounded(machine.clock, READ_MS, readPlace(machine, device));
    if (place === 'timeout') return `no answer from ${device} in ${READ_MS} ms`;
    if (typeof place === 'string') return place;
    if (decodeEspNote(place) === 'foreign') return `its place on ${device} is in use`;
    const bytes = note === undefined ? Buffer.alloc(ESP_NOTE.sizeBytes) : encodeEspNote(note);
    machine.blockDevices.write(device, { offsetBytes: ESP_NOTE.offsetBytes, bytes });
    return '';
  } catch (error) {
    return reasonOf(error);
  }
}

async function readPlace(machine: Machine, device: string): Promise<Uint8Array | string> {
  const start = { offsetBytes: 0, lengthBytes: BOOT_SECTOR_BYTES };
  const problem = noteRoomProblem(await machine.blockDevices.readInBackground(device, start));
  if (problem !== '') return `${device}: ${problem}`;
  return machine.blockDevices.readInBackground(device, PLACE);
}

function espDevice(machine: Machine): string | undefined {
  const which = { name: PARTITION_NAMES.esp, rootDisk: rootDiskName(machine) };
  const choice = choosePartition(listPartitions(machine), which);
  return choice === undefined ? undefined : `/dev/${choice.name}`;
}
