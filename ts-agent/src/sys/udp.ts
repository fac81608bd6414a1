/** One datagram there, one back. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

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

/** Over a socket that is connected, so that only the target can answer. */
export const udpExchange: UdpExchange = (target, message, signal) =>
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
