/** Whether what was read of a bundle is what was signed, and what the operator named. */
import { KeelError } from '@keelos/proto/errors.ts';

/** @throws KeelError E_BUNDLE_DAMAGED when a part has another hash than the manifest says */
export function demandHash(
  part: string,
  { found, expected }: { readonly found: string; readonly expected: string },
): void {
  if (found === expected) return;
  throw new KeelError(
    'E_BUNDLE_DAMAGED',
    `Cannot install: the ${part} has SHA-256 ${found}, the manifest says ${expected}`,
  );
}

/** @throws KeelError E_BUNDLE_DAMAGED when the operator named another hash of the whole bundle */
export function demandWhole(found: string, expected: string): void {
  if (expected === '' || found === expected) return;
  throw new KeelError(
    'E_BUNDLE_DAMAGED',
    `Cannot install: the bundle has SHA-256 ${found}, expected ${expected}`,
  );
}
