/** Reading a file into a WebAssembly memory in two ways: through node:wasi, and straight from TypeScript. */
import { closeSync, openSync, readSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { WASI } from 'node:wasi';

const MEMORY_PAGES = 32;
/** (module (memory (export "memory") 32) (func (export "_initialize"))) */
const MODULE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00],
  ...[0x05, 0x03, 0x01, 0x00, MEMORY_PAGES],
  ...[0x07, 0x18, 0x02, 0x06, ...Buffer.from('memory'), 0x02, 0x00],
  ...[0x0b, ...Buffer.from('_initialize'), 0x00, 0x00],
  ...[0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b],
);

/** Where in the memory the call's own fields and the data lie. */
const Place = { piece: 0, count: 8, fd: 12, path: 16, data: 65_536 } as const;
/** fd_read and fd_seek: fd_pread wants both. */
const RIGHTS_READ = (1n << 1n) | (1n << 2n);
const FOLDER_FD = 3;

type Call = (...args: (number | bigint)[]) => number;

/** Reads a whole file and returns its bytes. */
export type Reader = (pieceBytes: number) => number;

/** Through fd_pread of node:wasi. */
export async function wasiReader(path: string): Promise<Reader> {
  const folder = dirname(path);
  const wasi = new WASI({ version: 'preview1', preopens: { [folder]: folder } });
  const instance = new WebAssembly.Instance(await WebAssembly.compile(MODULE), {});
  wasi.initialize(instance);
  const imports = wasi.getImportObject() as { wasi_snapshot_preview1: Record<string, Call> };
  const { fd_pread: pread, path_open: open } = imports.wasi_snapshot_preview1;
  const { buffer } = instance.exports.memory as WebAssembly.Memory;
  const view = new DataView(buffer);
  const name = Buffer.from(basename(path));
  new Uint8Array(buffer).set(name, Place.path);
  const opened = open?.(FOLDER_FD, 1, Place.path, name.length, 0, RIGHTS_READ, 0n, 0, Place.fd);
  if (opened !== 0) throw new Error(`Cannot open ${path}: errno ${opened}`);
  const fd = view.getUint32(Place.fd, true);
  return (pieceBytes) => {
    view.setUint32(Place.piece, Place.data, true);
    view.setUint32(Place.piece + 4, pieceBytes, true);
    for (let done = 0; ; ) {
      const errno = pread?.(fd, Place.piece, 1, BigInt(done), Place.count);
      if (errno !== 0) throw new Error(`Cannot read ${path}: errno ${errno}`);
      const count = view.getUint32(Place.count, true);
      if (count === 0) return done;
      done += count;
    }
  };
}

/** Through fs.readSync into a view of the memory. */
export async function directReader(path: string): Promise<Reader> {
  const instance = new WebAssembly.Instance(await WebAssembly.compile(MODULE), {});
  const { buffer } = instance.exports.memory as WebAssembly.Memory;
  return (pieceBytes) => {
    const fd = openSync(path, 'r');
    try {
      const piece = new Uint8Array(buffer, Place.data, pieceBytes);
      for (let done = 0; ; ) {
        const count = readSync(fd, piece, 0, pieceBytes, done);
        if (count === 0) return done;
        done += count;
      }
    } finally {
      closeSync(fd);
    }
  };
}
