/** Addresses of bundles: what is accepted, what is shown of them, and which way leads there. Pure. */
import { isIP } from 'node:net';
import { KeelError } from '@keelos/proto/errors.ts';
import { isInNetwork, parseIp, parseIpInterface } from '@keelos/proto/ip-network.ts';

/** Longest URL. */
export const URL_CHARS_MAX = 4_096;

/** Reads the URL of a bundle. @throws KeelError E_INVALID_ARGUMENT, which repeats no credentials */
export function parseSourceUrl(text: string): URL {
  const url = text.length <= URL_CHARS_MAX && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isHttp(url) || url.hostname === '') {
    throw new KeelError(
      'E_INVALID_ARGUMENT',
      'Cannot use the URL of the bundle: expected http:// or https:// with a host',
    );
  }
  return url;
}

function isHttp({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:';
}

/** The URL as it is shown and logged: without credentials, query and fragment. */
export function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

/** Where a redirect leads. @throws KeelError E_SOURCE_REDIRECT when it is not followed */
export function redirected(from: URL, location: string): URL {
  const isUsable = location.length <= URL_CHARS_MAX && URL.canParse(location, from.href);
  const to = isUsable ? new URL(location, from.href) : undefined;
  const reason =
    to === undefined || !isHttp(to)
      ? 'no URL of http or https'
      : from.protocol === 'https:' && to.protocol === 'http:'
        ? `${shownUrl(to)}, which is not encrypted`
        : '';
  if (to === undefined || reason !== '') {
    throw new KeelError(
      'E_SOURCE_REDIRECT',
      `Cannot fetch ${shownUrl(from)}: redirected to ${reason}`,
    );
  }
  // Credentials belong to the server that they were given for.
  if (to.host === from.host && to.protocol === from.protocol && to.username === '') {
    to.username = from.username;
    to.password = from.password;
  }
  return to;
}

/** Value of an Authorization header; undefined without credentials (RFC 7617). */
export function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const text = `${decoded(username)}:${decoded(password)}`;
  return `Basic ${Buffer.from(text, 'utf8').toString('base64')}`;
}

/** Percent signs that are no escapes stand for themselves. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Host without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** Port, also when it is the one that goes without saying. */
export function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

/** How the node's configuration sends requests on their way. */
export interface ProxySettings {
  /** "http://host:port", with credentials when it wants some. */
  readonly proxy?: string;
  /** Host names (with all names below them), addresses and networks that are reached without it. */
  readonly noProxy: readonly string[];
}

/** The proxy for `url`; undefined when there is none. */
export function proxyFor(url: URL, { proxy, noProxy }: ProxySettings): URL | undefined {
  if (proxy === undefined || !URL.canParse(proxy)) return undefined;
  const host = hostOf(url).toLowerCase();
  return noProxy.some((entry) => isCovered(host, entry.toLowerCase())) ? undefined : new URL(proxy);
}

function isCovered(host: string, entry: string): boolean {
  if (isIP(host) === 0) {
    const name = entry.startsWith('.') ? entry.slice(1) : entry;
    return host === name || host.endsWith(`.${name}`);
  }
  const address = parseIp(host);
  const network = parseIpInterface(entry);
  const single = parseIp(entry);
  if (address === undefined) return false;
  if (network !== undefined) return isInNetwork(address, network);
  return single?.family === address.family && single.bits === address.bits;
}
