/** dm-verity hash trees through veritysetup. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { findCommand } from '../../../scripts/lib/apt.mjs';
import { exec } from '../../../scripts/lib/exec.mjs';
import type { VerityFacts } from '../core/command-line.ts';
import { VERITY_BLOCK_BYTES } from '../core/command-line.ts';

/** Salt for a root: it follows from the contents, so that equal roots have equal trees. */
function saltFor(data: Uint8Array): string {
  const digest = createHash('sha256').update(data).digest();
  return createHash('sha256').update('keelos verity salt\0').update(digest).digest('hex');
}

/**
 * The file system with its hash tree behind it, and what the kernel must know of it.
 *
 * @param data file system, in whole blocks of 4 KiB
 * @param scratch path of a file that may be written
 */
export async function appendHashTree(
  data: Uint8Array,
  scratch: string,
): Promise<{ image: Buffer; verity: VerityFacts }> {
  const salt = saltFor(data);
  await writeFile(scratch, data);
  const block = String(VERITY_BLOCK_BYTES);
  const { stdout } = await exec(findCommand('veritysetup') ?? 'veritysetup', [
    ...['format', '--no-superblock', '--format=1', '--hash=sha256', `--salt=${salt}`],
    ...[`--data-block-size=${block}`, `--hash-block-size=${block}`],
    `--data-blocks=${data.length / VERITY_BLOCK_BYTES}`,
    ...[`--hash-offset=${data.length}`, scratch, scratch],
  ]);
  const rootHash = /Root hash:\s+([0-9a-f]{64})/.exec(stdout)?.[1];
  if (rootHash === undefined) throw new Error(`veritysetup named no root hash: ${stdout}`);
  const image = await readFile(scratch);
  return { image, verity: { dataBytes: data.length, rootHash, salt } };
}
