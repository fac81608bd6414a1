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
