/**
 * Log files in memory.
 */
import type { LogFiles } from './log-file.ts';

/** A fake whose disk can be full or slow. */
export interface FakeLogFiles extends LogFiles {
  readonly contents: Map<string, string>;
  /** When set, an append waits for it and rejects with its error, if any. */
  obstacle: (() => Promise<void>) | undefined;
}

/** No files. */
export function createFakeLogFiles(): FakeLogFiles {
  const contents = new Map<string, string>();
  const fake: FakeLogFiles = {
    contents,
    obstacle: undefined,
    async open(path) {
      const before = contents.get(path) ?? '';
      contents.set(path, before);
      return {
        initialBytes: Buffer.byteLength(before),
        async append(text) {
          await fake.obstacle?.();
          contents.set(path, (contents.get(path) ?? '') + text);
        },
        async close() {},
      };
    },
    async rename(from, to) {
      contents.set(to, contents.get(from) ?? '');
      contents.delete(from);
    },
  };
  return fake;
}
