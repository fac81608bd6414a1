/** Steps that may fail without ending what they are part of. */
import { KeelError } from '@keelos/proto/errors.ts';

type Log = (line: string) => void;

/** Does it; any error is logged, and undefined returned: what is left undone is done at the next start. */
export function attempt<T>(log: Log, what: string, act: () => T): T | undefined {
  try {
    return act();
  } catch (cause) {
    log(`${what}: ${reasonOf(cause)}`);
    return undefined;
  }
}

/** The same for what takes time. */
export async function attemptAsync<T>(
  log: Log,
  what: string,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (cause) {
    log(`${what}: ${reasonOf(cause)}`);
    return undefined;
  }
}

/** Of a bug, where it is. */
function reasonOf(cause: unknown): string {
  if (cause instanceof KeelError) return cause.message;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
