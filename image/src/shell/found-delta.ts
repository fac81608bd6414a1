/** Deltas that lie in a release directory before they are listed. */
import { open } from 'node:fs/promises';
import type { Release } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { openDelta } from '../sys/delta-on-disk.ts';
import { absent } from '../sys/release-directory.ts';

/** Whether a whole delta from one release to the other lies at `path`. What else lies there is none. */
export async function isDeltaBetween(
  path: string,
  { source, release }: { readonly source: Release; readonly release: Release },
): Promise<boolean> {
  const file = await open(path, 'r').catch(absent(undefined));
  try {
    if (file === undefined || !(await file.stat()).isFile()) return false;
    const delta = await openDelta(file);
    delta.checkParts();
    return (
      delta.manifest.source.rootHash === source.rootHash &&
      delta.target?.manifestSha256 === release.manifestSha256
    );
  } catch (cause) {
    if (cause instanceof KeelError) return false;
    throw cause;
  } finally {
    await file?.close();
  }
}
