/** The process that verifies as a part of `keel`. */
export { main } from '@keelos/ts-agent/verifier.ts';
