// Which process a number means: numbers are given out again.

import { readFile } from 'node:fs/promises';

/**
 * When a process started, in clock ticks since boot (proc(5), field 22): with its number, this names it for good.
 * @param {number} pid
 * @returns {Promise<string | undefined>} undefined when there is none, or only its remains (a zombie)
 */
export async function startTicks(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in the second field may contain anything, ")" too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}
