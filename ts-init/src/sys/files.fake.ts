/**
 * Files in memory.
 */
import type { Files } from './files.ts';

/** A fake that shows what was written. */
export interface FakeFiles extends Files {
  /** Contents by path. */
  readonly contents: Map<string, Buffer>;
  readonly directories: Map<string, number>;
  readonly links: Map<string, string>;
  /** Paths whose writing fails, with the error's code. */
  readonly broken: Map<string, string>;
  /** Paths on a disk that hangs: their durable writing never ends. */
  readonly stuck: Set<string>;
}

/** A file system that holds `initial`. */
export function createFakeFiles(initial: Readonly<Record<string, string>> = {}): FakeFiles {
  const contents = new Map(
    Object.entries(initial).map(([path, text]) => [path, Buffer.from(text)] as const),
  );
  const directories = new Map<string, number>();
  const links = new Map<string, string>();
  const broken = new Map<string, string>();
  const stuck = new Set<string>();
  const fail = (path: string, code: string): never => {
    throw Object.assign(new Error(`${code}: ${path}`), { code });
  };
  const check = (path: string) => {
    const code = broken.get(path);
    if (code !== undefined) fail(path, code);
  };
  const isBelow = (path: string) => (other: string) => other.startsWith(`${path}/`);
  const read = (path: string): Buffer => contents.get(path) ?? fail(path, 'ENOENT');
  return {
    contents,
    directories,
    links,
    broken,
    stuck,
    exists: (path) =>
      contents.has(path) ||
      directories.has(path) ||
      links.has(path) ||
      [...contents.keys()].some(isBelow(path)),
    readText: (path) => read(path).toString('utf8'),
    readBytes: (path) => Buffer.from(read(path)),
    list(path) {
      const all = [...contents.keys(), ...directories.keys(), ...links.keys()];
      const names = all
        .filter(isBelow(path))
        .map((other) => other.slice(path.length + 1).split('/')[0] ?? '');
      return [...new Set(names)].sort();
    },
    readLink: (path) => links.get(path) ?? fail(path, 'EINVAL'),
    writeKernelFile(path, value) {
      check(path);
      contents.set(path, Buffer.from(value));
    },
    replace(path, content) {
      check(path);
      contents.set(path, Buffer.from(content));
    },
    async replaceDurably(path, content) {
      if (stuck.has(path)) await new Promise(() => {});
      check(path);
      contents.set(path, Buffer.from(content));
    },
    makeDirectory(path, mode) {
      check(path);
      directories.set(path, mode);
    },
    remove: (path) => {
      contents.delete(path);
    },
  };
}
