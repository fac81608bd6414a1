/** One datagram there, one back. */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';

/** Where a datagram goes. */
export interface UdpTarget {
  readonly host: string;
  readonly port: number;
}

/** The port: sends `message` and returns the first answer. @throws when none comes before `signal` */
export type UdpExchange = (
  target: UdpTarget,
  message: Uint8Array,
  signal: AbortSignal,
) => Promise<Uint8Array>;

/** Time for one question to a name server. */
const QUESTION_MS = 1_000;
/** Questions to each name server. */
const QUESTIONS = 2;

/** Over a socket that is connected, so that only the target can answer. */
export const udpExchange: UdpExchange = async ({ host, port }, message, signal) => {
  const address = isIP(host) === 0 ? await lookUp(host, signal) : host;
  return exchange({ host: address, port }, message, signal);
};

/**
 * First address of `name`. Asks the name servers itself: getaddrinfo(3) would hold a thread of Node's small pool for as
 * long as they are silent, and cannot be stopped.
 */
export async function lookUp(
  name: string,
  signal: AbortSignal,
  nameServers?: readonly string[],
): Promise<string> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: QUESTION_MS, tries: QUESTIONS });
  if (nameServers !== undefined) resolver.setServers(nameServers);
  const stopped = Promise.withResolvers<never>();
  const onAbort = (): void => {
    resolver.cancel();
    stopped.reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const found = resolver.resolve4(name).catch(() => {
      signal.throwIfAborted();
      return resolver.resolve6(name);
    });
    const [address] = await Promise.race([found, stopped.promise]);
    if (address === undefined) throw new Error(`${name} has no address`);
    return address;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

const exchange: UdpExchange = (target, message, signal) =>
  new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(target.host) ? 'udp6' : 'udp4', signal });
    const end = (finish: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      // Late errors of a socket that is done with are of no interest.
      socket.on('error', () => undefined);
      try {
        socket.close();
      } catch {
        // Closed already by the signal.
      }
      finish();
    };
    const onAbort = (): void => end(() => reject(signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', (cause) => end(() => reject(cause)));
    socket.once('message', (answer) => end(() => resolve(answer)));
    socket.connect(target.port, target.host, () => socket.send(message));
  });
