// Which process a number means: numbers are given out again.

import { readFile } from 'node:fs/promises';

/**
 * When a process started, in clock ticks since boot (proc(5), field 22): with its number, this names it for good.
 * @param {number} pid
 * @returns {Promise<string | undefined>} undefined when there is none, or only its remains (a zombie without
 *   threads: a process whose first thread has ended holds its files and ports until the last one has)
 */
export async function startTicks(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in the second field may contain anything, ")" too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const isFirstThreadGone = fields[0] === 'Z' || fields[0] === 'X';
  return isFirstThreadGone && Number(fields[17]) <= 1 ? undefined : fields[19];
}
