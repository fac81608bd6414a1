/** How long a node believes a time. Reasons: docs/decisions/0003-time-a-node-believes.md. */

/** How long after its build an image believes a clock, or a certificate that says when it begins. */
export const BELIEVED_YEARS = 20;
/** The same in milliseconds. */
export const BELIEVED_MS = BELIEVED_YEARS * 365.25 * 86_400_000;
