/** Endpoints of nodes: HOST[:PORT], IPv6 in brackets when a port follows. */
import { KeelError } from '@keelos/proto/errors.ts';
import { API_PORT } from '@keelos/proto/node-paths.ts';

/** Where a node listens. */
export interface Endpoint {
  /** Host name or address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const IPV6 = /^[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?$/;
const PORT = /^\d{1,5}$/;

function split(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1] ?? '', port: bracketed[2] };
  const colons = text.split(':').length - 1;
  if (colons === 1) {
    const at = text.indexOf(':');
    return { host: text.slice(0, at), port: text.slice(at + 1) };
  }
  return { host: text, port: undefined };
}

/**
 * Reads "node", "node:1234", "192.0.2.1", "2001:db8::1" or "[2001:db8::1]:1234". The port is 50051 when absent.
 *
 * @throws KeelError E_USAGE when it is none of these.
 */
export function parseEndpoint(text: string): Endpoint {
  const refuse = (reason: string) =>
    new KeelError('E_USAGE', `Cannot use endpoint "${text}": ${reason}`, {
      hint: `Write HOST or HOST:PORT, for example 192.0.2.10 or [2001:db8::1]:${API_PORT}.`,
    });
  if (text.includes('://')) throw refuse('it is a URL; leave the scheme away');
  const { host, port } = split(text.trim());
  const valid = host.includes(':') ? IPV6.test(host) : HOST_NAME.test(host);
  if (!valid) throw refuse(host === '' ? 'there is no host' : `"${host}" is not a host`);
  if (port === undefined) return { host, port: API_PORT };
  const number = Number(port);
  if (!PORT.test(port) || number < 1 || number > 65_535) {
    throw refuse(`"${port}" is not a port (1 to 65535)`);
  }
  return { host, port: number };
}

/** The one written form of an endpoint, port included; {@link parseEndpoint} reads it back. */
export function formatEndpoint(endpoint: Endpoint): string {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
  return `${host}:${endpoint.port}`;
}
