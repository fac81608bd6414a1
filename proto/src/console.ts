/**
 * What a node prints on its console for the person in front of it, and for programs that read the console of a
 * virtual machine: one fact a line, `KeelOS: <key>: <value>`.
 */

/** The facts, in the order in which they are printed. */
export interface Announcement {
  readonly version: string;
  readonly hostname: string;
  /** Addresses with prefix length; empty when the node has none. */
  readonly addresses: readonly string[];
  readonly apiPort: number;
  /** SHA-256 of the server certificate, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** One-time enrolment token; absent when none was made at this boot. */
  readonly token?: string;
  /** ISO 8601 time at which the token expires; present with the token. */
  readonly tokenExpires?: string;
}

const PREFIX = 'KeelOS: ';
const LINE = /KeelOS: ([a-z0-9-]+): ([^\r\n]*)/;
/** Last line of an announcement: when it is there, all the others are. */
const END_KEY = 'api';

/** Lines of the announcement, without line ends. The token is among them: they go to the console and nowhere else. */
export function announcementLines(announcement: Announcement): string[] {
  const facts: [string, string][] = [
    ['version', announcement.version],
    ['hostname', announcement.hostname],
    ...announcement.addresses.map((address): [string, string] => ['address', address]),
    ['certificate-sha256', announcement.fingerprint],
  ];
  if (announcement.token !== undefined) {
    facts.push(['enrolment-token', announcement.token]);
    facts.push(['enrolment-token-expires', announcement.tokenExpires ?? '']);
  }
  facts.push([END_KEY, `port ${announcement.apiPort}, mutual TLS`]);
  return facts.map(([key, value]) => `${PREFIX}${key}: ${value}`);
}

/**
 * Reads the last complete announcement in what a console printed, other lines in between allowed.
 *
 * Returns undefined when there is none.
 */
export function parseAnnouncement(consoleText: string): Announcement | undefined {
  let facts = new Map<string, string[]>();
  let last: Announcement | undefined;
  for (const text of consoleText.split('\n')) {
    const match = LINE.exec(text);
    if (match === null) continue;
    const [, key = '', value = ''] = match;
    if (key === 'version') facts = new Map();
    facts.set(key, [...(facts.get(key) ?? []), value]);
    if (key === END_KEY) last = fromFacts(facts) ?? last;
  }
  return last;
}

function fromFacts(facts: ReadonlyMap<string, readonly string[]>): Announcement | undefined {
  const one = (key: string) => facts.get(key)?.[0];
  const version = one('version');
  const fingerprint = one('certificate-sha256');
  const port = /^port (\d+)/.exec(one(END_KEY) ?? '')?.[1];
  if (version === undefined || fingerprint === undefined || port === undefined) return undefined;
  const token = one('enrolment-token');
  const tokenExpires = one('enrolment-token-expires');
  return {
    version,
    hostname: one('hostname') ?? '',
    addresses: facts.get('address') ?? [],
    apiPort: Number(port),
    fingerprint,
    ...(token === undefined ? {} : { token }),
    ...(tokenExpires === undefined ? {} : { tokenExpires }),
  };
}
