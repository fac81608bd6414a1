/**
 * The job "verify-squashfs": walks a whole SquashFS, reads every block of every file, and names what lies at some places
 * of it.
 */
import { readSync } from 'node:fs';
import type { JobContext } from './jobs.ts';
import { compileSquashfs, SquashfsImage } from './squashfs.ts';
import { CoreError } from './status.ts';

/** A SquashFS in a file. */
export interface VerifySquashfsInput {
  /** Open for reading. */
  readonly fd: number;
  readonly sizeBytes: number;
  /** Places whose files are wanted. */
  readonly offsetsBytes: readonly number[];
  /** How many bytes count from each of these places on. */
  readonly spanBytes: number;
}

/** What the walk over a file system found. */
export interface FileSystemFindings {
  readonly isValid: boolean;
  /** Code of the CoreError that ended the walk; empty when it is valid. */
  readonly code: string;
  readonly problem: string;
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
}

/** What the job answers. */
export interface VerifySquashfsResult {
  readonly fileSystem: FileSystemFindings;
  /** For each place what lies there, as `SquashfsImage.filesAt` says it; nothing where damage hides it. */
  readonly files: readonly (readonly string[])[];
}

const NOTHING = { files: 0, directories: 0, bytes: 0 };
const SUPERBLOCK_BYTES = 96;
const INODE_TABLE_AT = 64;

/** The caller gave up. */
class Stopped extends Error {}

/** Verifies. A malformed file system is in the answer, not thrown. Reports the bytes of the image that are done. */
export async function verifySquashfs(
  input: VerifySquashfsInput,
  context: JobContext,
): Promise<VerifySquashfsResult> {
  const modules = await context.kept('squashfs', compileSquashfs);
  let image: SquashfsImage | undefined;
  let files = partsUnopened(input);
  try {
    image = SquashfsImage.openWith(modules, { fd: input.fd, sizeBytes: input.sizeBytes });
    files = filesAt(image, input);
    const onProgress = (doneBytes: number) => {
      if (context.isStopped()) throw new Stopped('the caller gave up');
      context.report(doneBytes);
    };
    const { files: count, directories, bytes } = image.verify({ onProgress });
    const counts = { files: count, directories, bytes };
    return { fileSystem: { isValid: true, code: '', problem: '', ...counts }, files };
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const { code, message: problem } = error;
    return { fileSystem: { isValid: false, code, problem, ...NOTHING }, files };
  } finally {
    image?.close();
  }
}

/** What can be said of places in an image that cannot be opened: by its superblock alone, which may itself be damaged. */
function partsUnopened({ fd, offsetsBytes, spanBytes }: VerifySquashfsInput): string[][] {
  if (offsetsBytes.length === 0) return [];
  const superblock = Buffer.alloc(SUPERBLOCK_BYTES);
  readSync(fd, superblock, 0, SUPERBLOCK_BYTES, 0);
  const tables = superblock.readBigUInt64LE(INODE_TABLE_AT);
  return offsetsBytes.map((offset) => [
    ...(offset < SUPERBLOCK_BYTES ? ['[superblock]'] : []),
    ...(BigInt(offset + spanBytes) > tables ? ['[tables]'] : []),
  ]);
}

/** One walk for all places; when damage ends it, each place for itself, and what cannot be told stays empty. */
function filesAt(
  image: SquashfsImage,
  { offsetsBytes, spanBytes }: VerifySquashfsInput,
): string[][] {
  if (offsetsBytes.length === 0) return [];
  const attempt = (offsets: readonly number[]) => {
    try {
      return image.filesAt(offsets, { spanBytes });
    } catch (error) {
      if (error instanceof CoreError) return undefined;
      throw error;
    }
  };
  return attempt(offsetsBytes) ?? offsetsBytes.map((offset) => attempt([offset])?.[0] ?? []);
}
