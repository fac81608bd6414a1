/** Asks whether a service works: by TCP, HTTP, or the health protocol of gRPC. Nothing is executed for it. */

import { parseEndpoint, parseGrpcTarget } from '@keelos/proto/service-address.ts';
import type { ProbeConfig } from '@keelos/proto/stored-config.ts';
import { askHttp, openTcp } from './http-connection.ts';
import { askGrpcHealth } from './probe-grpc.ts';

/** The port: what was seen of a service that works. @throws an error whose message says why it does not, or the signal's */
export type AskProbe = (probe: ProbeConfig, signal: AbortSignal) => Promise<string>;

/**
 * What a connection to a host says about the host itself. `unreachable`: the kernel has not found it on the network, or
 * somebody has sent word that it is unreachable; `no-route`: this machine has no way there at all.
 */
export type HostAnswer = 'answers' | 'unreachable' | 'no-route';

/** The port: knocks at a host, and tells whether it is there. @throws when `signal` is aborted before it is known */
export type Knock = (
  target: { readonly host: string; readonly port: number },
  signal: AbortSignal,
) => Promise<HostAnswer>;

/** Statuses that count as well: the service answers, perhaps from elsewhere. */
const STATUS_MIN = 200;
const STATUS_MAX = 399;

/** Over the network of this machine. */
export const askProbe: AskProbe = async (probe, signal) => {
  const { tcp, http, grpc, caPem = '', serverName } = probe;
  const endpoint = tcp === undefined ? undefined : parseEndpoint(tcp);
  if (endpoint !== undefined) {
    (await openTcp(endpoint, signal)).destroy();
    return 'takes connections';
  }
  const timesMs = probe.timeoutSeconds * 1_000;
  const named = serverName === undefined ? {} : { serverName };
  if (http !== undefined) {
    const times = { connectMs: timesMs, answerMs: timesMs, idleMs: timesMs };
    const question = { url: new URL(http), caPem, ...named, headers: {}, times };
    const answer = await askHttp(question, signal);
    answer.destroy();
    const { statusCode = 0 } = answer;
    if (statusCode >= STATUS_MIN && statusCode <= STATUS_MAX) return `answers ${statusCode}`;
    throw new Error(`it answers ${statusCode}`);
  }
  const target = grpc === undefined ? undefined : parseGrpcTarget(grpc);
  if (target === undefined) throw new Error('it has no target');
  await askGrpcHealth({ ...target, caPem, serverName: serverName ?? target.host }, signal);
  return 'is serving';
};

/** What connect(2) fails with, and what that says of the host. The last two are words of a firewall, which is there. */
const ANSWERS: Readonly<Record<string, HostAnswer>> = {
  EHOSTUNREACH: 'unreachable',
  // The route was there a moment ago: a router says so (ICMP).
  ENETUNREACH: 'unreachable',
  ENETDOWN: 'no-route',
  EHOSTDOWN: 'no-route',
  EADDRNOTAVAIL: 'no-route',
  ECONNREFUSED: 'answers',
  ECONNRESET: 'answers',
  EACCES: 'answers',
  EPERM: 'answers',
};

/**
 * Connects, and takes a refusal for an answer, too: the host has sent it. A host that is not there is told by the kernel,
 * which does not find the address on the network (ARP, neighbour discovery) within about three seconds.
 */
export const knock: Knock = async (target, signal) => {
  try {
    (await openTcp(target, signal)).destroy();
    return 'answers';
  } catch (cause) {
    signal.throwIfAborted();
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const answer = ANSWERS[code];
    if (answer === undefined) throw cause;
    return answer;
  }
};
