/** One publisher at a time. */
import { KeelError } from '@keelos/proto/errors.ts';
import { tryLock } from '../../../scripts/lib/cache.mjs';

/** A held lock. */
export interface PublishLock {
  close(): Promise<void>;
}

/**
 * Holds a directory, which must be there, against other publishers of this machine, in whatever container they are: the
 * kernel keeps the lock on it (flock(2)) for as long as this process lives.
 *
 * @throws KeelError E_PUBLISH_RUNNING
 */
export async function lockForPublish(dir: string): Promise<PublishLock> {
  const lock = await tryLock(dir);
  if (lock !== undefined) return { close: lock.release };
  const reason = 'another keel-image publish is at it';
  throw new KeelError('E_PUBLISH_RUNNING', `Cannot publish into ${dir}: ${reason}`);
}
