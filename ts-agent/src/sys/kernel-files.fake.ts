/** Files of the kernel in memory. */
import type { KernelFiles, Room } from './kernel-files.ts';

/** Files that a test makes. A directory is there when a file below it is. */
export interface FakeKernelFiles extends KernelFiles {
  /** Contents by path, or the error of every read. */
  readonly files: Map<string, string | Uint8Array | Error>;
  readonly links: Map<string, string>;
  readonly rooms: Map<string, Room>;
}

/** No files. */
export function createFakeKernelFiles(): FakeKernelFiles {
  const files: FakeKernelFiles['files'] = new Map();
  const links = new Map<string, string>();
  const rooms = new Map<string, Room>();
  const namesIn = (directory: string): readonly string[] => {
    const names = [...files.keys(), ...links.keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1).split('/')[0] ?? '');
    return [...new Set(names)];
  };
  return {
    files,
    links,
    rooms,
    async readText(path) {
      const found = files.get(path);
      return typeof found === 'string' ? found : undefined;
    },
    list: async (directory) => namesIn(directory),
    linkTarget: async (path) => links.get(path),
    async readAt(path, { offsetBytes, lengthBytes }) {
      const found = files.get(path) ?? new Error(`ENOENT: ${path}`);
      if (found instanceof Error) throw found;
      const bytes = typeof found === 'string' ? Buffer.from(found) : found;
      return Buffer.from(bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
    },
    room: async (mountPoint) => rooms.get(mountPoint),
    exists: async (path) => files.has(path) || links.has(path) || namesIn(path).length > 0,
  };
}
