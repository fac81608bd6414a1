/** SquashFS through squashfs-tools. */
import { readFile } from 'node:fs/promises';
import { exec } from '../../../scripts/lib/exec.mjs';
import { VERITY_BLOCK_BYTES } from '../core/command-line.ts';

/** 128 KiB: a page fault of the running executable decompresses one block (measured: see bench/boot). */
const BLOCK = '128K';
const LEVEL = '19';

/**
 * Packs a folder into a SquashFS file, every owner root, every time `epochSeconds`, padded to whole 4 KiB blocks.
 * Equal folders give equal bytes.
 */
export async function makeSquashfs(
  folder: string,
  options: { readonly out: string; readonly epochSeconds: number },
): Promise<Buffer> {
  const time = String(options.epochSeconds);
  const format = ['-comp', 'zstd', '-Xcompression-level', LEVEL, '-b', BLOCK];
  const fixed = ['-all-root', '-all-time', time, '-mkfs-time', time, '-no-xattrs', '-no-exports'];
  const quiet = ['-noappend', '-no-progress', '-quiet'];
  await exec('mksquashfs', [folder, options.out, ...format, ...fixed, ...quiet], {
    // mksquashfs refuses the options above when this is set as well.
    env: { SOURCE_DATE_EPOCH: undefined },
  });
  const bytes = await readFile(options.out);
  const padding = (VERITY_BLOCK_BYTES - (bytes.length % VERITY_BLOCK_BYTES)) % VERITY_BLOCK_BYTES;
  return padding === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(padding)]);
}

/** One line for each thing in a SquashFS file, in the form of `ls -l`. */
export async function listSquashfs(path: string, options: { offset?: number } = {}) {
  const offset = options.offset === undefined ? [] : ['-offset', String(options.offset)];
  const { stdout } = await exec('unsquashfs', ['-lln', '-dest', '', ...offset, path]);
  return stdout.split('\n').filter((line) => /^[-dlcbps]/.test(line));
}
