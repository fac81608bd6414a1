/**
 * Which connections stay when there are too many.
 *
 * A new connection is always let in and, when there is no room, the oldest one that has proven nothing goes. So a
 * thousand silent connections push out each other and never somebody who is about to show an enrolled certificate:
 * that one needs to be quicker than the next full round only.
 */

/** One open connection. */
export interface OpenConnection {
  readonly address: string;
  /** An enrolled certificate was shown. */
  readonly isProven: boolean;
}

/** Bounds of {@link connectionToClose}. */
export interface AdmissionLimits {
  readonly unprovenPerAddressMax: number;
  readonly unprovenMax: number;
}

/**
 * The connection that has to go now that a new one from `address` came, if any.
 *
 * @param open every connection but the new one, oldest first
 */
export function connectionToClose<Connection extends OpenConnection>(
  open: Iterable<Connection>,
  address: string,
  limits: AdmissionLimits,
): Connection | undefined {
  const unproven = [...open].filter((connection) => !connection.isProven);
  const sameAddress = unproven.filter((connection) => connection.address === address);
  if (sameAddress.length >= limits.unprovenPerAddressMax) return sameAddress[0];
  return unproven.length >= limits.unprovenMax ? unproven[0] : undefined;
}

/** A connection with an enrolled certificate. */
export interface ProvenConnection {
  readonly fingerprint: string;
}

/** Bounds of {@link admitProven}. */
export interface ProvenLimits {
  readonly provenPerCertificateMax: number;
  readonly provenMax: number;
}

/**
 * Whether one more connection of the enrolled certificate `fingerprint` may stay, and which one has to go for it.
 *
 * A caller who opens too many shuts out nobody but itself.
 *
 * @param open every other connection with an enrolled certificate, oldest first
 */
export function admitProven<Connection extends ProvenConnection>(
  open: readonly Connection[],
  fingerprint: string,
  limits: ProvenLimits,
): { readonly isAdmitted: boolean; readonly toClose?: Connection } {
  const counts = new Map<string, number>();
  for (const one of open) counts.set(one.fingerprint, (counts.get(one.fingerprint) ?? 0) + 1);
  if ((counts.get(fingerprint) ?? 0) >= limits.provenPerCertificateMax)
    return { isAdmitted: false };
  if (open.length < limits.provenMax) return { isAdmitted: true };
  const most = Math.max(...counts.values());
  const toClose = open.find((one) => counts.get(one.fingerprint) === most);
  return toClose === undefined ? { isAdmitted: true } : { isAdmitted: true, toClose };
}
