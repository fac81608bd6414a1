/**
 * Cuts captured bytes into lines of bounded length, the same ones however the bytes arrive.
 */
import { LOG_LINE_BYTES_MAX } from '@keelos/proto/init-control.ts';

const NEWLINE = 0x0a;

/** Takes bytes, gives lines. */
export interface LineSplitter {
  /** Lines completed by `chunk`, without their ends. */
  push(chunk: Uint8Array): string[];
  /** The unfinished last line, if any; the splitter is empty afterwards. */
  end(): string[];
}

/** A splitter whose lines have at most `lineBytesMax` bytes; longer ones are cut between UTF-8 characters. */
export function createLineSplitter(lineBytesMax: number = LOG_LINE_BYTES_MAX): LineSplitter {
  let pending = Buffer.alloc(0);
  const take = (final: boolean): string[] => {
    const lines: string[] = [];
    let from = 0;
    while (from < pending.length) {
      const newline = pending.subarray(from, from + lineBytesMax + 1).indexOf(NEWLINE);
      if (newline >= 0) {
        lines.push(pending.toString('utf8', from, from + newline));
        from += newline + 1;
      } else if (pending.length - from > lineBytesMax) {
        const cut = characterBoundary(pending, { from, to: from + lineBytesMax });
        lines.push(pending.toString('utf8', from, cut));
        from = cut;
      } else break;
    }
    if (final && from < pending.length) {
      lines.push(pending.toString('utf8', from));
      from = pending.length;
    }
    // A copy: a slice would keep the whole chunk in memory.
    pending = Buffer.from(pending.subarray(from));
    return lines;
  };
  return {
    push(chunk) {
      pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
      return take(false);
    },
    end: () => take(true),
  };
}

/** The text, or as many of its first characters as fit into `bytesMax` bytes of UTF-8. */
export function cutBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return text;
  return bytes.toString('utf8', 0, characterBoundary(bytes, { from: 0, to: bytesMax }));
}

/** Largest position at most `to` where a UTF-8 character begins; `to` itself when the bytes are not UTF-8. */
function characterBoundary(bytes: Uint8Array, range: { from: number; to: number }): number {
  for (let at = range.to; at > range.from && at > range.to - 4; at -= 1) {
    if (((bytes[at] ?? 0) & 0xc0) !== 0x80) return at;
  }
  return range.to;
}
