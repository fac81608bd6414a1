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
  readonly id: number;
  /** Reason and count: "Panic 1". */
  readonly crash: string;
  readonly part: number;
  readonly text: string;
}

/** The newest crash as text, oldest line first, at most {@link CRASH_BYTES_MAX}; empty when there is none. */
export function joinCrash(files: readonly PstoreFile[]): string {
  // In the order in which they were written: a crash is a row of parts 1, 2, 3, which may take longer than a second.
  const pieces = files.flatMap((file) => pieceFrom(file) ?? []).sort((a, b) => a.id - b.id);
  const start = pieces.findLastIndex(({ crash, part }, index) => {
    const before = pieces[index - 1];
    return before === undefined || before.crash !== crash || before.part >= part;
  });
  const lines = pieces
    .slice(Math.max(0, start))
    .reverse()
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line !== '');
  return lastLines(lines, CRASH_BYTES_MAX).join('\n');
}

function pieceFrom({ name, text }: PstoreFile): Piece | undefined {
  const id = DMESG.exec(name)?.[1];
  const header = PIECE.exec(text);
  if (id === undefined || header === null) return undefined;
  const [whole, reason, count, part] = header;
  return {
    id: Number(id),
    crash: `${reason} ${count}`,
    part: Number(part),
    text: text.slice(whole.length).replace(PRIORITY, ''),
  };
}
