/** Type and mode of a file as `ls -l` shows them. */
import type { EntryType } from '@keelos/as-core/squashfs.ts';

const LETTERS: Readonly<Record<EntryType, string>> = {
  directory: 'd',
  file: '-',
  symlink: 'l',
  'block-device': 'b',
  'character-device': 'c',
  fifo: 'p',
  socket: 's',
};

/** Ten letters, for example "-rwxr-xr-x". `mode` is 07777. */
export function modeText(type: EntryType, mode: number): string {
  const group = (bits: number, special: number, letter: string) => {
    const canRun = (bits & 1) !== 0;
    const plain = canRun ? 'x' : '-';
    const last = (mode & special) === 0 ? plain : canRun ? letter : letter.toUpperCase();
    return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
  };
  const user = group(mode >> 6, 0o4000, 's');
  const others = `${group(mode >> 3, 0o2000, 's')}${group(mode, 0o1000, 't')}`;
  return `${LETTERS[type]}${user}${others}`;
}
