/** The last applied configurations: their names on disk, and which of them stay. */
import type { StoredConfig } from '@keelos/proto/stored-config.ts';

/** Revisions that are kept, the one in force included. */
export const HISTORY_MAX = 10;

const NAME = /^(\d{8})\.rec$/;

/** File name of a revision; names sort as revisions do. */
export function historyName(revision: number): string {
  return `${String(revision).padStart(8, '0')}.rec`;
}

/** The names among `names` that are revisions, newest first. */
export function historyNames(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => NAME.test(name))
    .sort()
    .reverse();
}

/** True when `value` has the shape of a stored configuration. Its document was checked before it was stored. */
export function isStoredConfig(value: unknown): value is StoredConfig {
  if (typeof value !== 'object' || value === null) return false;
  const stored = value as Partial<Record<keyof StoredConfig, unknown>>;
  return (
    Number.isSafeInteger(stored.revision) &&
    Number.isSafeInteger(stored.timeMs) &&
    typeof stored.subject === 'string' &&
    typeof stored.fingerprint === 'string' &&
    typeof stored.yaml === 'string' &&
    typeof stored.config === 'object' &&
    stored.config !== null
  );
}
