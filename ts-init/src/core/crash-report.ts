/**
 * Puts together what the kernel left in pstore when it crashed (Documentation/admin-guide/pstore-blk.rst,
 * drivers/firmware/efi/efi-pstore.c): `dmesg-efi_pstore-<id>`, each with a piece of the kernel log.
 *
 *     id = (time in seconds * 100 + part) * 1000 + count of the crash in its boot
 *     Panic#1 Part1\n<6>[    5.1] ...        part 1 is the end of the log, part 2 what came before, and so on
 */
import { CRASH_BYTES_MAX } from '@keelos/proto/trial-traces.ts';
import { lastLines } from './text-tail.ts';

/** A file of pstore. */
export interface PstoreFile {
  readonly name: string;
  readonly text: string;
}

const DMESG = /^dmesg-[a-z_-]+-(\d{1,16})$/;
const PIECE = /^(\w+)#(\d+) Part(\d+)\n/;
/** The priority that the kernel puts before each line. */
const PRIORITY = /^<\d+>/gm;

interface Piece {
  readonly crash: string;
  readonly part: number;
  readonly id: number;
  readonly text: string;
}

/** The newest crash as text, oldest line first, at most {@link CRASH_BYTES_MAX}; empty when there is none. */
export function joinCrash(files: readonly PstoreFile[]): string {
  const pieces = files.flatMap((file) => pieceFrom(file) ?? []);
  const newest = pieces.reduce<Piece | undefined>(
    (best, piece) => (best === undefined || piece.id > best.id ? piece : best),
    undefined,
  );
  if (newest === undefined) return '';
  const lines = pieces
    .filter(({ crash }) => crash === newest.crash)
    .sort((a, b) => b.part - a.part)
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line !== '');
  return lastLines(lines, CRASH_BYTES_MAX).join('\n');
}

function pieceFrom({ name, text }: PstoreFile): Piece | undefined {
  const id = DMESG.exec(name)?.[1];
  const header = PIECE.exec(text);
  if (id === undefined || header === null) return undefined;
  const [whole, reason, count, part] = header;
  // The pieces of one crash share their second; ramoops numbers its files instead, and keeps one crash in each.
  const second = Math.floor(Number(id) / 100_000);
  return {
    crash: `${reason} ${count} ${second}`,
    part: Number(part),
    id: Number(id),
    text: text.slice(whole.length).replace(PRIORITY, ''),
  };
}
