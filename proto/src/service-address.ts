/** Addresses of services as they stand in a node configuration: "host:port" and URLs, strict about how they are written. */
import { isIP } from 'node:net';

/** A host and a port. */
export interface Endpoint {
  /** Name or address; an IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** A gRPC service to ask for its health. */
export interface GrpcTarget extends Endpoint {
  readonly isSecure: boolean;
  /** Full name; empty for the server as a whole. */
  readonly service: string;
}

const PORT_MAX = 65_535;
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const HOST_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(\\.${LABEL})*$`);
const ENDPOINT = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([^:[\]/@\s]{1,253})):([1-9][0-9]{0,4})$/;
const GRPC_URL = /^(grpcs?):\/\/([^/]{1,300})(?:\/([A-Za-z0-9_.]{0,256}))?$/;

/** True for a name or an address of a host. A name whose last label is a number would be read as an address elsewhere. */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return !text.includes('%');
  return HOST_NAME.test(text) && !/(^|\.)[0-9]+$/.test(text);
}

/** Reads "host:port", "192.0.2.1:443" or "[2001:db8::1]:443"; undefined when it is none. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const found = ENDPOINT.exec(text);
  if (found === null) return undefined;
  const [, ipv6, name = '', digits] = found;
  const host = ipv6 ?? name;
  const port = Number(digits);
  const isFit = ipv6 === undefined ? isHost(name) : isIP(ipv6) === 6;
  return isFit && port <= PORT_MAX ? { host, port } : undefined;
}

/** Reads "grpc://host:port[/service]" (HTTP/2 in the clear) or "grpcs://…" (TLS); undefined when it is none. */
export function parseGrpcTarget(text: string): GrpcTarget | undefined {
  const found = GRPC_URL.exec(text);
  const endpoint = parseEndpoint(found?.[2] ?? '');
  if (found === null || endpoint === undefined) return undefined;
  return { ...endpoint, isSecure: found[1] === 'grpcs', service: found[3] ?? '' };
}

/** Reads a URL of http or https without credentials and fragment; undefined when it is none. */
export function parseHttpTarget(text: string): URL | undefined {
  const url = plainUrl(text, ['http:', 'https:']);
  return url === undefined || url.username !== '' || url.password !== '' ? undefined : url;
}

/** Reads the URL of a proxy: "http://[user:password@]host[:port]"; undefined when it is none. */
export function parseProxy(text: string): URL | undefined {
  const url = plainUrl(text, ['http:']);
  return url !== undefined && url.pathname === '/' && url.search === '' ? url : undefined;
}

function plainUrl(text: string, protocols: readonly string[]): URL | undefined {
  // The URL parser would take away what this refuses: spaces, line ends, backslashes.
  if (!/^[a-z]+:\/\/[\x21-\x5b\x5d-\x7e]+$/.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isFit = protocols.includes(url.protocol) && url.hostname !== '' && url.hash === '';
  return isFit ? url : undefined;
}
