/**
 * The C library, through koffi. On the node the image's build replaces the package by a loader for the one native file.
 */
import koffi from 'koffi';

/** A function of the C library that returns an int, -1 for failure. */
export interface NativeFunction {
  (...args: readonly unknown[]): number;
  /** On a thread of the pool; errno is lost there. */
  async(...args: readonly unknown[]): void;
}

const lazyLibrary = lazy(() => koffi.load('libc.so.6'));

/** A value that is made when it is first asked for. */
export function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** A function of libc by its C prototype, looked up at the first call. */
export function libcFunction(prototype: string): () => NativeFunction {
  return lazy(() => lazyLibrary().func(prototype));
}

/** A system call that failed; `code` as in Node's own errors, for example "EBUSY". */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly code: string;

  constructor(what: string, code: string) {
    super(`Cannot ${what}: ${code}`);
    this.code = code;
  }
}

/** Name of an errno value. */
export function errnoName(errno: number): string {
  const names = Object.entries(koffi.os.errno);
  return names.find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}

/**
 * Gives a call's result back.
 *
 * @throws SystemCallError when it is negative.
 */
export function checked(what: string, result: number): number {
  if (result < 0) throw new SystemCallError(what, errnoName(koffi.errno()));
  return result;
}

/** Runs a native call on the thread pool; false when it failed. */
export function inBackground(call: NativeFunction, ...args: readonly unknown[]): Promise<boolean> {
  return new Promise((resolve) => {
    call.async(...args, (error: unknown, result: number) => resolve(!error && result >= 0));
  });
}

/** Address of a buffer's bytes. Above 64 bytes they do not move; hold the buffer until the call is over. */
export function addressOf(bytes: Buffer): bigint {
  return koffi.address(bytes);
}

/** Watches a descriptor. The callback runs whenever there is something to read, until `close`. */
export function pollReadable(descriptor: number, callback: () => void): { close(): void } {
  const handle = koffi.node.poll(descriptor, { readable: true }, callback);
  return { close: () => handle.close() };
}
