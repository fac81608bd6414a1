/** EnrolmentService: an operator becomes known, and stays known. */
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { CERTIFICATE_BYTES_MAX } from '../core/client-certificate.ts';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import { hostname, machineId } from '../shell/node-facts.ts';

/** Methods over `node`. */
export function enrolmentMethods(node: Node): ServiceMethods<typeof EnrolmentService> {
  const { trust, listener, ports } = node;
  return {
    async enrol(request, { peer }) {
      const operator = trust.enrol(listener.certificateOf(peer), request.token);
      listener.markProven(peer);
      return {
        fingerprintSha256: operator.fingerprint,
        notAfter: timestampFromMs(operator.notAfterMs),
        machineId: await machineId(ports.files),
        hostname: await hostname(ports.files),
      };
    },
    async renew(request, { caller }) {
      if (caller.kind !== 'operator') {
        throw new KeelError('E_NOT_ENROLLED', 'Cannot renew the certificate: nobody is enrolled');
      }
      const bytes = request.certificate.length;
      if (bytes === 0 || bytes > CERTIFICATE_BYTES_MAX) {
        throw new KeelError(
          'E_INVALID_ARGUMENT',
          `Cannot renew the certificate: ${bytes} bytes, expected 1 to ${CERTIFICATE_BYTES_MAX}`,
        );
      }
      const operator = trust.renew(caller, request.certificate);
      return {
        fingerprintSha256: operator.fingerprint,
        notAfter: timestampFromMs(operator.notAfterMs),
      };
    },
  };
}
