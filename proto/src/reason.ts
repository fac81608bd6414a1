/** Why an operator asks for a reboot or a rollback: the same bound where it is typed and where it arrives. */

/** Longest reason, in bytes of UTF-8. */
export const REASON_BYTES_MAX = 256;
