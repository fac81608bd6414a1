/** Rows of the error table (errors.ts) about deltas. */
import type { ErrorRow } from './error-codes.ts';
import { GrpcStatus as S, ExitCode as X } from './error-codes.ts';

/** Code to row. */
export const DELTA_ERRORS = {
  E_DELTA_MALFORMED: {
    status: S.INVALID_ARGUMENT,
    exit: X.bundleMalformed,
    meaning: 'The file is not a delta, or something in it is not in its one form.',
    hint: 'Make the delta again with keel-image delta, or take the full image.',
  },
  E_DELTA_DAMAGED: {
    status: S.DATA_LOSS,
    exit: X.bundleDamaged,
    meaning:
      'A part of the delta, or what was made with it, does not have the hash that it must have.',
    hint: 'Copy or download it again, and compare its SHA-256; or take the full image.',
  },
  E_DELTA_VERSION: {
    status: S.FAILED_PRECONDITION,
    exit: X.deltaUnfit,
    meaning: 'The delta has a newer format than this release knows.',
    hint: 'Take the full image.',
  },
  E_DELTA_SOURCE: {
    status: S.FAILED_PRECONDITION,
    exit: X.deltaUnfit,
    meaning: 'The delta is for another release than the one that is here.',
    hint: 'Take the delta from the running release, which osctl version shows, or the full image.',
  },
  E_DELTA_ENCODER: {
    status: S.FAILED_PRECONDITION,
    exit: X.deltaUnfit,
    meaning: 'The encoder that is here does not make the bytes that the delta counts on.',
    hint: 'Take the full image.',
  },
} as const satisfies Record<string, ErrorRow>;
