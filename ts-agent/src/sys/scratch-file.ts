/** A file for what need not outlive an update: written from its begin, read by another process, removed. */
import { open, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { stateError } from './state-store.ts';

/** The port. */
export interface ScratchFile {
  readonly path: string;
  /**
   * Replaces what is in it. Room for other things is left on the state partition.
   *
   * @throws KeelError E_STATE_FULL before anything is written, E_STATE_UNAVAILABLE, and what `pieces` throws
   */
  write(pieces: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<void>;
  /** Removes it; one that is not there is fine. @throws KeelError E_STATE_UNAVAILABLE */
  remove(): Promise<void>;
}

/** Part of the free room that stays free for what the node itself writes. */
const ROOM_SHARE = 0.5;

/** The file at `path`. */
export function scratchFile(path: string): ScratchFile {
  return {
    path,
    async write(pieces, sizeBytes) {
      try {
        await demandRoom(path, sizeBytes);
        await using file = await open(path, 'w', 0o600);
        for await (const piece of pieces) await file.appendFile(piece);
      } catch (cause) {
        await rm(path, { force: true }).catch(() => undefined);
        if (cause instanceof KeelError || !isSystemError(cause)) throw cause;
        throw stateError('write', path, cause);
      }
    },
    async remove() {
      try {
        await rm(path, { force: true });
      } catch (cause) {
        throw stateError('remove', path, cause);
      }
    },
  };
}

async function demandRoom(path: string, sizeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (sizeBytes <= bavail * bsize * ROOM_SHARE) return;
  const room = `${sizeBytes} bytes are needed, ${bavail * bsize} are free, half of which stays so`;
  throw new KeelError('E_STATE_FULL', `Cannot write ${path}: ${room}`);
}

function isSystemError(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && 'syscall' in cause;
}
