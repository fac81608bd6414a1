/** A gRPC channel to one node: TLS 1.3, the server pinned by its certificate, the operator's certificate shown. */
import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { SERVER_DNS_NAME } from '@keelos/proto/certificates.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { readCertificate } from '../core/certificate.ts';
import type { Context } from '../core/contexts.ts';
import { type Endpoint, formatEndpoint } from '../core/endpoint.ts';

/** Largest message that is accepted from a node, in bytes. */
const RECEIVE_BYTES_MAX = 16 * 1024 * 1024;
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

/** What a channel needs of a context. */
export type Identity = Pick<Context, 'serverCertificate' | 'certificate' | 'key'>;

/**
 * A client for `endpoint`. It connects when the first call is made, and only to the server whose certificate is pinned:
 * nothing is sent to another one.
 *
 * @throws KeelError E_CONTEXT_FILE when certificate or key cannot be used.
 */
export function openChannel(endpoint: Endpoint, identity: Identity): Client {
  const pinned = readCertificate(identity.serverCertificate, 'the pinned server certificate');
  let secureContext: ReturnType<typeof createSecureContext>;
  try {
    secureContext = createSecureContext({
      ca: identity.serverCertificate,
      cert: identity.certificate,
      key: identity.key,
      minVersion: 'TLSv1.3',
    });
  } catch (cause) {
    throw new KeelError(
      'E_CONTEXT_FILE',
      'Cannot use the client certificate of this context: certificate and key do not fit',
      { cause, hint: 'Enrol again with osctl init bootstrap.' },
    );
  }
  const channelCredentials = credentials.createFromSecureContext(secureContext, {
    checkServerIdentity: (_name, peer) => {
      const shown = peer.fingerprint256.replaceAll(':', '').toLowerCase();
      return shown === pinned.fingerprint ? undefined : new Error('another server certificate');
    },
  });
  return new Client(`dns:${formatEndpoint(endpoint)}`, channelCredentials, {
    // The pinned certificate decides, not the name; a fixed name keeps addresses out of the TLS server name.
    'grpc.ssl_target_name_override': SERVER_DNS_NAME,
    'grpc.default_authority': SERVER_DNS_NAME,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  });
}

/** PEM form of a certificate. */
export function pemOf(certificate: X509Certificate): string {
  const text = certificate.toString();
  return text.endsWith('\n') ? text : `${text}\n`;
}
