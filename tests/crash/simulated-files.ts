/** The calls of node:fs that records need, over the state partition of a machine that can be cut. */
import type { FileCalls } from '@keelos/ts-agent/sys/state-store.ts';
import type { Hardware } from './hardware.ts';

/** An open file, or the number 0 for an open folder. */
interface Handle {
  readonly file: number;
  bytes: Buffer;
}

function absent(path: string): Error {
  return Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
}

/** Calls that note what they do. */
export function simulatedFiles(hardware: Hardware): FileCalls {
  const handles = new Map<number, Handle>();
  let nextHandle = 3;
  let nextFile = hardware.files.nextFile();
  const open = (handle: Handle): number => {
    nextHandle += 1;
    handles.set(nextHandle, handle);
    return nextHandle;
  };
  const handleOf = (number: number): Handle => {
    const handle = handles.get(number);
    if (handle === undefined) throw Object.assign(new Error('EBADF'), { code: 'EBADF' });
    return handle;
  };
  const contents = (path: string): Uint8Array => {
    const bytes = hardware.files.read(path);
    if (bytes === undefined) throw absent(path);
    return bytes;
  };
  return {
    sizeOf: (path) => contents(path).length,
    read: (path) => Uint8Array.from(contents(path)),
    list: (directory) => hardware.files.list(directory),
    // A folder appears with its first file, in the same journal.
    makeDirectory: () => undefined,
    create(path) {
      const file = nextFile;
      nextFile += 1;
      hardware.changeFiles({ kind: 'create', path, file });
      return open({ file, bytes: Buffer.alloc(0) });
    },
    write(number, bytes) {
      const handle = handleOf(number);
      handle.bytes = Buffer.concat([handle.bytes, bytes]);
      hardware.changeFiles({ kind: 'data', file: handle.file, bytes: handle.bytes });
      return bytes.length;
    },
    sync(number) {
      const { file } = handleOf(number);
      hardware.changeFiles(file === 0 ? { kind: 'sync' } : { kind: 'sync', file });
    },
    close(number) {
      handleOf(number);
      handles.delete(number);
    },
    openDirectory: () => open({ file: 0, bytes: Buffer.alloc(0) }),
    rename(from, to) {
      if (hardware.files.fileOf(from) === undefined) throw absent(from);
      hardware.changeFiles({ kind: 'rename', from, to });
    },
    remove(path) {
      if (hardware.files.fileOf(path) === undefined) return;
      hardware.changeFiles({ kind: 'unlink', path });
    },
  };
}
