/** The process that verifies: a part of `keel` with the name that proto/src/verifier.ts gives it. */
import { serveVerification } from './sys/serve-verification.ts';

/** Answers the one request on standard input, and ends. */
export async function main(): Promise<void> {
  await serveVerification();
}
