/** The kernel of an image: this checkout's own, or a ready one for people who work on other parts. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buildKernel } from '@keelos/kernel/build.ts';
import type { createProgress } from '../../../scripts/lib/progress.mjs';
import { kernelRelease } from '../core/uki.ts';

/** A kernel to put into an image. */
export interface Kernel {
  readonly bzImage: string;
  /** `uname -r`. */
  readonly version: string;
  /** What it was built from, for the bill of materials. */
  readonly source: string;
}

/**
 * Builds the kernel, or finds it in the cache. With `$KEEL_KERNEL` the bzImage of that name is taken as it is.
 *
 * @throws KeelError E_IMAGE_INVALID when that file is not a bzImage.
 */
export async function provideKernel(progress: ReturnType<typeof createProgress>): Promise<Kernel> {
  const ready = process.env.KEEL_KERNEL;
  if (ready !== undefined && ready !== '') {
    progress.note(`kernel from KEEL_KERNEL: ${ready}`);
    const bzImage = resolve(ready);
    return { bzImage, version: kernelRelease(await readFile(bzImage)), source: 'a ready bzImage' };
  }
  const { bzImage, version, source } = await buildKernel({ progress });
  return { bzImage, version, source: `${source.package} ${source.version}` };
}
