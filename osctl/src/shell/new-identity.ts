/** The key and certificate that init bootstrap and init renew make. */

import { VALIDITY_MS_MAX } from '@keelos/proto/certificates.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { parseDuration } from '../core/duration.ts';
import type { ClientIdentity } from '../sys/client-certificate.ts';
import { type Invocation, textOption } from './invocation.ts';

const VALIDITY_MS_MIN = 10 * 60_000;

/** A new key with its certificate. What makes it takes a while to load, so only the commands that need it do. */
export async function newIdentity(invocation: Invocation): Promise<ClientIdentity> {
  const { host } = invocation;
  const validityMs = validityOf(invocation);
  const { makeClientIdentity } = await import('../sys/client-certificate.ts');
  return await makeClientIdentity({
    commonName: host.whoami(),
    now: host.clock.now(),
    validityMs,
  });
}

/** The value of --validity in milliseconds; 24 hours when absent. */
export function validityOf(invocation: Invocation): number {
  const text = textOption(invocation, 'validity');
  if (text === undefined) return VALIDITY_MS_MAX;
  const validityMs = parseDuration(text);
  if (validityMs >= VALIDITY_MS_MIN && validityMs <= VALIDITY_MS_MAX) return validityMs;
  throw new KeelError('E_USAGE', `Cannot use validity "${text}": it is out of range`, {
    hint: 'Give 10m to 24h.',
  });
}
