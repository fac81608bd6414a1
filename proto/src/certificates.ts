/** What an operator and a node know of each other's certificates beforehand. */

/** DNS name in the certificate of every node, beside its own: the client checks the pinned certificate against it. */
export const SERVER_DNS_NAME = 'keelos-node';
/** Longest validity of a client certificate that a node accepts, in milliseconds. */
export const VALIDITY_MS_MAX = 24 * 3_600_000;
