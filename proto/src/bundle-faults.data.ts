/**
 * What may be wrong with a bundle, and which errors refuse it: before a release is armed, and, but for bytes that are only
 * found to be wrong as they are written into the other slot, before anything is touched. The reference page has this
 * table, and image/test/spoilt-bundles.ts makes bundles for every row.
 */
import type { ErrorCode } from './errors.ts';

/** One way to spoil a bundle. */
export interface BundleFault {
  readonly fault: string;
  /** More than one where it depends on which byte it is. */
  readonly codes: readonly ErrorCode[];
}

/** The table; the names are for the test. */
export const BUNDLE_FAULTS = {
  rootFlipped: {
    fault: 'One byte of the root file system is another',
    // keel-image looks first whether it begins as a SquashFS does.
    codes: ['E_BUNDLE_DAMAGED', 'E_BUNDLE_MALFORMED'],
  },
  treeFlipped: { fault: 'One byte of the hash tree is another', codes: ['E_BUNDLE_DAMAGED'] },
  ukiFlipped: {
    fault: 'One byte of the kernel image is another',
    // A node looks first which root it starts.
    codes: ['E_BUNDLE_DAMAGED', 'E_BUNDLE_MALFORMED'],
  },
  manifestFlipped: {
    fault: 'One byte of the manifest is another',
    codes: ['E_SIGNATURE_WRONG', 'E_BUNDLE_MALFORMED', 'E_BUNDLE_OVERSIZE'],
  },
  signaturesFlipped: {
    fault: 'One byte of the signatures is another',
    codes: ['E_SIGNATURE_WRONG', 'E_BUNDLE_MALFORMED'],
  },
  footerFlipped: { fault: 'One byte of the footer is another', codes: ['E_BUNDLE_MALFORMED'] },
  unknownField: { fault: 'The manifest has a field more', codes: ['E_BUNDLE_MALFORMED'] },
  duplicateKey: { fault: 'The manifest has a field twice', codes: ['E_BUNDLE_MALFORMED'] },
  otherFile: {
    fault: 'The file is no bundle',
    // A node reads the end of a file, and finds no footer there.
    codes: ['E_BUNDLE_MALFORMED', 'E_BUNDLE_TRUNCATED'],
  },
  truncated: { fault: 'The file is cut short, wherever', codes: ['E_BUNDLE_TRUNCATED'] },
  bytesBehind: { fault: 'Bytes follow the footer', codes: ['E_BUNDLE_OVERSIZE'] },
  hugePart: { fault: 'A part is larger than any may be', codes: ['E_BUNDLE_OVERSIZE'] },
  unsigned: { fault: 'Nobody has signed it', codes: ['E_SIGNATURE_WRONG'] },
  wrongKey: { fault: 'A key that is not trusted has signed it', codes: ['E_SIGNATURE_WRONG'] },
  tooFew: { fault: 'Fewer trusted keys have signed it than must', codes: ['E_SIGNATURES_TOO_FEW'] },
  expired: { fault: 'A key that counts has expired', codes: ['E_KEY_EXPIRED'] },
  noTrust: { fault: 'The running image trusts no key', codes: ['E_NO_TRUST'] },
  lowerEpoch: { fault: 'Its security epoch is below that of the node', codes: ['E_EPOCH_TOO_LOW'] },
  otherArch: { fault: 'It is for another architecture', codes: ['E_ARCH_MISMATCH'] },
  otherRoot: {
    fault: 'It is signed, and its kernel image starts another root',
    codes: ['E_BUNDLE_MALFORMED'],
  },
  largerThanSlot: { fault: 'Its root is larger than the slot', codes: ['E_SLOT_TOO_SMALL'] },
} as const satisfies Record<string, BundleFault>;

/** Name of a row. */
export type BundleFaultName = keyof typeof BUNDLE_FAULTS;
