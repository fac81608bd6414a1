/**
 * The two copies of the boot loader on the EFI system partition: which of them is damaged, and which one it is to be
 * written from. Pure; shell/loader-copies.ts reads and writes them.
 */
import { LOADER_PATH, SECOND_LOADER_PATH } from '@keelos/proto/boot-entry.ts';

/** Paths of the copies, in the order of the boot options. */
export const LOADER_COPIES = [LOADER_PATH, SECOND_LOADER_PATH] as const;
/** Index into {@link LOADER_COPIES}. */
export type LoaderCopy = 0 | 1;

/** What is known of the copies. */
export interface LoaderFacts {
  /** SHA-256 of each in hexadecimal; undefined: it is not there, or cannot be read. */
  readonly sha256: readonly [string | undefined, string | undefined];
  /** SHA-256 that both of them had when they were last seen to be equal; undefined: it is not known. */
  readonly known: string | undefined;
  /** The copy that started this system; undefined: neither, or it cannot be told. */
  readonly started: LoaderCopy | undefined;
}

/** What is to be done about them. */
export type LoaderVerdict =
  /** Both are the same program. */
  | { readonly kind: 'equal'; readonly sha256: string }
  /** `sha256` is that of the other copy, which is right. */
  | { readonly kind: 'damaged'; readonly copy: LoaderCopy; readonly sha256: string }
  /** They differ, and nothing tells which of them is right. */
  | { readonly kind: 'unknown' };

/**
 * Judges the copies. What was known of them when they were equal decides; a copy that starts a system may still be
 * damaged, so that it did counts only where the other one was passed over: the firmware tries the first one first.
 */
export function judgeLoaders({ sha256, known, started }: LoaderFacts): LoaderVerdict {
  const [first, second] = sha256;
  if (first !== undefined && first === second) return { kind: 'equal', sha256: first };
  const damaged = (copy: LoaderCopy, right: string) =>
    ({ kind: 'damaged', copy, sha256: right }) as const;
  if (known !== undefined && first === known) return damaged(1, known);
  if (known !== undefined && second === known) return damaged(0, known);
  if (started === 1 && second !== undefined) return damaged(0, second);
  if (started === 0 && first !== undefined && second === undefined) return damaged(1, first);
  return { kind: 'unknown' };
}

/** The other copy. */
export function otherCopy(copy: LoaderCopy): LoaderCopy {
  return copy === 0 ? 1 : 0;
}

/** Which copy a path of the firmware is, with backslashes; undefined when it is none. */
export function startedCopy(loaderImage: string): LoaderCopy | undefined {
  const path = loaderImage.replaceAll('\\', '/').replace(/^\/+/, '').toLowerCase();
  const found = LOADER_COPIES.findIndex((copy) => copy.toLowerCase() === path);
  return found === -1 ? undefined : (found as LoaderCopy);
}
