/** Files with data and hash tree for the tests of verity, and veritysetup as their judge. */
import { execFile } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Bytes of a block. */
export const BLOCK_BYTES = 4096;

const run = promisify(execFile);

/** A folder that is removed by `close`. */
export class Scratch {
  readonly #folder = mkdtempSync(join(tmpdir(), 'keel-verity-'));
  readonly #open: number[] = [];

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** A new file with these pieces one after another, open for reading and writing. */
  write(name: string, ...pieces: readonly Uint8Array[]): number {
    const fd = openSync(this.path(name), 'w+');
    this.#open.push(fd);
    for (const piece of pieces) writeSync(fd, piece);
    return fd;
  }

  close(): void {
    for (const fd of this.#open) closeSync(fd);
    rmSync(this.#folder, { recursive: true });
  }
}

/** Bytes that no compressor likes, the same ones for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const counter = Buffer.alloc(16);
  counter.writeUInt32LE(seed);
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), counter).update(Buffer.alloc(length));
}

/** What `veritysetup format` makes of a file. */
export async function formatted(
  data: string,
  { salt, tree }: { readonly salt: Uint8Array; readonly tree: string },
): Promise<{ rootHash: string; tree: Buffer }> {
  const { stdout } = await veritysetup([
    ...['format', '--no-superblock', '--format=1', '--hash=sha256'],
    ...['--data-block-size=4096', '--hash-block-size=4096'],
    ...[`--salt=${salt.length === 0 ? '-' : Buffer.from(salt).toString('hex')}`, data, tree],
  ]);
  const rootHash = /Root hash:\s+([0-9a-f]{64})/.exec(stdout)?.[1];
  if (rootHash === undefined) throw new Error(`veritysetup named no root hash: ${stdout}`);
  return { rootHash, tree: readFileSync(tree) };
}

/** Whether `veritysetup verify` accepts data and tree, both in one file. */
export async function isAccepted(
  file: string,
  image: { dataBlocks: number; salt: Uint8Array; rootHash: string },
): Promise<boolean> {
  const { salt, dataBlocks, rootHash } = image;
  const verdict = veritysetup([
    ...['verify', '--no-superblock', '--format=1', '--hash=sha256'],
    ...['--data-block-size=4096', '--hash-block-size=4096', `--data-blocks=${dataBlocks}`],
    ...[`--hash-offset=${dataBlocks * BLOCK_BYTES}`],
    ...[`--salt=${salt.length === 0 ? '-' : Buffer.from(salt).toString('hex')}`],
    ...[file, file, rootHash],
  ]);
  return verdict.then(
    () => true,
    (error) => {
      if (/^Verification .*failed/m.test(error.stderr)) return false;
      throw error;
    },
  );
}

function veritysetup(args: readonly string[]) {
  // It is a tool for root, whose folders are not on everybody's path.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  return run('veritysetup', [...args], { env });
}
