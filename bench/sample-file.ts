/** The file that a subject works on: the caller's, or one of noise. */
import { createCipheriv } from 'node:crypto';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SAMPLE_BYTES = 256 * 1024 * 1024;
const PIECE_BYTES = 4 * 1024 * 1024;

/** A file and room for results. */
export interface Sample {
  readonly path: string;
  readonly sizeBytes: number;
  /** An empty folder, gone afterwards. */
  readonly scratch: string;
}

/**
 * Runs `measure` on `input`, or on 256 MiB that no compressor likes.
 *
 * @throws Error when `input` is no file with something in it
 */
export async function withSample<T>(
  input: string | undefined,
  measure: (sample: Sample) => Promise<T>,
): Promise<T> {
  const scratch = await mkdtemp(join(tmpdir(), 'keel-bench-'));
  try {
    const path = input ?? join(scratch, 'sample');
    if (input === undefined) await writeNoise(path);
    const facts = await stat(path);
    if (!facts.isFile() || facts.size === 0) throw new Error(`Cannot measure ${path}: no file`);
    return await measure({ path, sizeBytes: facts.size, scratch });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function writeNoise(path: string): Promise<void> {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  const zeros = Buffer.alloc(PIECE_BYTES);
  const file = await open(path, 'wx');
  try {
    for (let done = 0; done < SAMPLE_BYTES; done += PIECE_BYTES) {
      await file.write(noise.update(zeros));
    }
  } finally {
    await file.close();
  }
}
