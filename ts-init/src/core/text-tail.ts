/**
 * The last lines of a text that grows, bounded in bytes.
 */

/** The lines that are kept. */
export interface TextTail {
  push(line: string): void;
  /** The lines, oldest first. */
  lines(): readonly string[];
}

/** An empty tail. A line longer than `bytesMax` is not kept. */
export function createTextTail(bytesMax: number): TextTail {
  let kept: string[] = [];
  let bytes = 0;
  const cost = (line: string) => Buffer.byteLength(line) + 1;
  return {
    push(line) {
      kept.push(line);
      bytes += cost(line);
      // Dropped in one go, and seldom: to half of the bound.
      if (bytes <= bytesMax * 2) return;
      kept = lastLines(kept, bytesMax);
      bytes = kept.reduce((sum, one) => sum + cost(one), 0);
    },
    lines: () => lastLines(kept, bytesMax),
  };
}

/** As many of the last lines as fit into `bytesMax`, with their line ends. */
export function lastLines(lines: readonly string[], bytesMax: number): string[] {
  let bytes = 0;
  let from = lines.length;
  while (from > 0) {
    bytes += Buffer.byteLength(lines[from - 1] ?? '') + 1;
    if (bytes > bytesMax) break;
    from -= 1;
  }
  return lines.slice(from);
}
