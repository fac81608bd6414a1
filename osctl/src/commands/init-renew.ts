/** osctl init renew */
import { KeelError } from '@keelos/proto/errors.ts';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { readCertificate } from '../core/certificate.ts';
import { chooseContext, withContext } from '../core/contexts.ts';
import { formatTime } from '../core/quantity.ts';
import { type Command, withNode } from '../shell/invocation.ts';
import { newIdentity, validityOf } from '../shell/new-identity.ts';

/** The command. */
export const renewCommand: Command = {
  name: 'renew',
  summary: 'Replace your certificate before it ends',
  description:
    'Makes a new key and certificate, enrols it with the one that you have, and then replaces the context. When anything fails the old one stays in use.',
  options: [
    {
      flags: '--validity <duration>',
      description: 'life of the new certificate, 10m to 24h (default: 24h)',
      completion: 'none',
    },
  ],
  examples: [{ command: 'osctl init renew', does: 'Another 24 hours' }],
  run: async (invocation) => {
    const { contexts } = invocation;
    validityOf(invocation);
    // The file is written once before the node is asked: a disk without room must not cost the new certificate.
    await contexts.update((file) => file);
    return await withNode(invocation, async ({ client, contextName }) => {
      const identity = await newIdentity(invocation);
      const answer = await client.call(EnrolmentService.method.renew, {
        certificate: identity.certificateDer,
      });
      const made = readCertificate(identity.certificate, 'the new certificate');
      if (answer.fingerprintSha256 !== made.fingerprint) {
        throw new KeelError('E_INTERNAL', 'Cannot renew: the node enrolled another certificate');
      }
      const { certificate, key } = identity;
      await contexts.update((file) => {
        const context = { ...chooseContext(file, contextName).context, certificate, key };
        return withContext(file, { name: contextName, context, use: false });
      });
      const data = {
        context: contextName,
        fingerprintSha256: made.fingerprint,
        certificateExpires: identity.notAfter.toISOString(),
      };
      const lines = [
        `Your certificate in context ${contextName} is valid until ${formatTime(identity.notAfter)}.`,
      ];
      return { view: { data, lines } };
    });
  },
};
