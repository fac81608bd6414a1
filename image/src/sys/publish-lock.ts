/** One publisher a directory. */
import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { KeelError } from '@keelos/proto/errors.ts';

/** A held lock. */
export interface PublishLock {
  close(): Promise<void>;
}

/**
 * Holds a directory against other publishers of this machine. The kernel keeps the lock, an address that only one
 * process can listen at (unix(7), abstract), so that it ends with the process, however that ends.
 *
 * @throws KeelError E_PUBLISH_RUNNING
 */
export async function lockForPublish(dir: string): Promise<PublishLock> {
  const { dev, ino } = await stat(dir, { bigint: true });
  const server = createServer((socket) => void socket.destroy());
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(`\0keel-image-publish-${dev}-${ino}`, done);
  }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EADDRINUSE') throw cause;
    const reason = 'another keel-image publish is at it';
    throw new KeelError('E_PUBLISH_RUNNING', `Cannot publish into ${dir}: ${reason}`, { cause });
  });
  server.unref();
  return { close: () => new Promise((done) => void server.close(() => done())) };
}
