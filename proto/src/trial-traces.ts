/**
 * What PID 1 leaves behind of a trial and of a crash, for the agent of the next boot: plain text on the state partition,
 * and one note in the reserved sectors of the EFI system partition, for when the state partition is lost.
 */
import type { RecordKind } from './state-record.ts';
import { decodeRecord, encodeRecord } from './state-record.ts';

/** Longest reason in {@link UPDATE_PATHS.trialGivenUp} and in the note, in characters. */
export const REASON_CHARS_MAX = 500;
/** Most that is kept of a crash, in bytes. */
export const CRASH_BYTES_MAX = 16_384;
/** Most that is kept of a trial's console, in bytes. */
export const CONSOLE_BYTES_MAX = 12_288;

const CRASH_HEADER = /^found in boot ([0-9a-f-]{1,64})\n/;

/** A crash of the kernel. */
export interface CrashReport {
  /** Boot id of the system that found it, so the crash is older. */
  readonly foundInBoot: string;
  /** The end of the kernel log, oldest line first. */
  readonly text: string;
}

/** Contents of {@link UPDATE_PATHS.crashReport}. */
export function crashReportText({ foundInBoot, text }: CrashReport): string {
  return `found in boot ${foundInBoot}\n${text}`;
}

/** Reads {@link crashReportText} back; undefined when it is something else. */
export function parseCrashReport(text: string): CrashReport | undefined {
  const found = CRASH_HEADER.exec(text);
  if (found === null) return undefined;
  return { foundInBoot: found[1] ?? '', text: text.slice(found[0].length) };
}

/** One line, without control characters, at most {@link REASON_CHARS_MAX} long. */
export function oneLine(text: string): string {
  // Control characters of C0 and C1, and the separators that some readers take for line ends.
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, REASON_CHARS_MAX);
}

/**
 * Where the note lies on the EFI system partition. FAT32 leaves the sectors between the copy of its boot sector (6, 7)
 * and its first table to the boot loader's code (Microsoft FAT specification, section 3.1); systemd-boot uses none.
 *
 *     sector 0       6 7            16 17 18 19        BPB_RsvdSecCnt (32)
 *     | boot, FSInfo | their copies | note             | first allocation table
 */
export const ESP_NOTE = { offsetBytes: 16 * 512, sizeBytes: 4 * 512 } as const;
/** Bytes of the partition that {@link noteRoomProblem} looks at. */
export const BOOT_SECTOR_BYTES = 512;

const NOTE_RECORD: RecordKind = { kind: 'esp-note', version: 1 };
const NOTE_START = `keel-record ${NOTE_RECORD.kind} `;
const NOTE_HEADER = /^keel-record esp-note \d+ (\d+) [0-9a-f]{64}\n/;

/** A note. */
export interface EspNote {
  /** Unix milliseconds, by the clock of the node. */
  readonly timeMs: number;
  /** Why the trial was given up. */
  readonly reason: string;
}

/** Why there is no room for a note on this partition; empty when there is. */
export function noteRoomProblem(bootSector: Uint8Array): string {
  if (bootSector.length < BOOT_SECTOR_BYTES) return 'the boot sector is cut short';
  const view = new DataView(bootSector.buffer, bootSector.byteOffset, bootSector.byteLength);
  if (view.getUint16(510, true) !== 0xaa55) return 'it has no boot sector';
  const sectorBytes = view.getUint16(11, true);
  if (sectorBytes !== 512) return `it has sectors of ${sectorBytes} bytes`;
  const reserved = view.getUint16(14, true);
  const needed = (ESP_NOTE.offsetBytes + ESP_NOTE.sizeBytes) / 512;
  return reserved < needed ? `it has ${reserved} reserved sectors, ${needed} are needed` : '';
}

/** Bytes of the note's place: {@link ESP_NOTE.sizeBytes}. */
export function encodeEspNote({ timeMs, reason }: EspNote): Buffer {
  const place = Buffer.alloc(ESP_NOTE.sizeBytes);
  // At most 4 bytes for each character, and the record's header: it fits.
  place.set(encodeRecord(NOTE_RECORD, { timeMs, reason: oneLine(reason).slice(0, 300) }));
  return place;
}

/**
 * The note in its place. "empty": the first sector is zero. "torn": ours, and a power cut came in between. "foreign":
 * somebody else's, which is left alone.
 */
export function decodeEspNote(place: Uint8Array): EspNote | 'empty' | 'torn' | 'foreign' {
  if (place.subarray(0, 512).every((byte) => byte === 0)) return 'empty';
  const bytes = Buffer.from(place.buffer, place.byteOffset, place.byteLength);
  const start = bytes.toString('latin1', 0, 160);
  if (!start.startsWith(NOTE_START)) return 'foreign';
  const header = NOTE_HEADER.exec(start);
  if (header === null) return 'torn';
  try {
    const record = bytes.subarray(0, header[0].length + Number(header[1]));
    const payload = decodeRecord(NOTE_RECORD, record);
    if (typeof payload !== 'object' || payload === null) return 'torn';
    const { timeMs, reason } = payload as Partial<Record<keyof EspNote, unknown>>;
    if (typeof timeMs !== 'number' || typeof reason !== 'string') return 'torn';
    return { timeMs, reason: oneLine(reason) };
  } catch {
    return 'torn';
  }
}
