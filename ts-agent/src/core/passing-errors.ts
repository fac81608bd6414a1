/** Errors of an install whose reason may be gone in a while, so that the same install may do then. */
import type { ErrorCode } from '@keelos/proto/errors.ts';

const PASSING: ReadonlySet<string> = new Set<ErrorCode>([
  'E_UPDATE_RUNNING',
  'E_UPDATE_UNSETTLED',
  'E_UPDATE_CUT_OFF',
  'E_SOURCE_UNREACHABLE',
  'E_SOURCE_TIMEOUT',
  'E_SOURCE_SHORT',
  'E_SOURCE_FAULT',
  'E_STATE_FULL',
  'E_STATE_UNAVAILABLE',
]);

/** @param code of the error table, or one that a newer release has written down */
export function isPassing(code: string): boolean {
  return PASSING.has(code);
}
