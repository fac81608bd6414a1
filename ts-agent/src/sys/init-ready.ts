/**
 * PID 1 starts the agent before /var is mounted, so that it loads meanwhile. The control socket is the sign that all is
 * there (proto/src/init-control.ts).
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { KeelError } from '@keelos/proto/errors.ts';

/** PID 1 waits for a slow disk itself, and goes on without one. */
const WAIT_MS_MAX = 60_000;
const POLL_MS = 5;

/**
 * Waits until the socket of PID 1 exists.
 *
 * @throws KeelError E_INIT_UNREACHABLE when it does not come.
 */
export async function waitForInit(socketPath: string, waitMs = WAIT_MS_MAX): Promise<void> {
  for (const deadline = performance.now() + waitMs; !existsSync(socketPath); ) {
    if (performance.now() > deadline) {
      throw new KeelError(
        'E_INIT_UNREACHABLE',
        `Cannot find PID 1: no ${socketPath} in ${waitMs} ms`,
      );
    }
    await delay(POLL_MS);
  }
}
