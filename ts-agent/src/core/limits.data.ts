/**
 * The limits of the server and of the calls on it, each with its unit and its reason. Tests shrink them; nothing else
 * changes them. A bound of one module stands in that module.
 */

/** Limits of the gRPC server and of what stands before it. */
export interface Limits {
  /** Largest request or response message. The largest real one is a full history of updates, up to 900 kB. */
  readonly messageBytesMax: number;
  /** Calls at the same time on one connection. */
  readonly streamsPerConnectionMax: number;
  /** Connections without an enrolled certificate, from one address. One more closes the oldest of them. */
  readonly unprovenPerAddressMax: number;
  /** Connections without an enrolled certificate, from all addresses. One more closes the oldest of them. */
  readonly unprovenMax: number;
  /** Connections with one enrolled certificate. One more is refused. */
  readonly provenPerCertificateMax: number;
  /** Connections with an enrolled certificate. One more closes the oldest of the certificate that has the most. */
  readonly provenMax: number;
  /** Time for the TLS handshake. An emulated CPU needs up to two seconds. */
  readonly handshakeMs: number;
  /** A connection without an enrolled certificate lives this long: time enough to enrol. */
  readonly unprovenLifetimeMs: number;
  /** A connection without any call is closed after this time. */
  readonly connectionIdleMs: number;
  /** A connection this old takes no new calls, so that its certificate is shown again; calls that run may end. */
  readonly connectionAgeMs: number;
  /** A silent connection is pinged this often, so that dead peers are noticed. */
  readonly keepAliveMs: number;
  /** Time for the answer to a ping. */
  readonly keepAliveAnswerMs: number;
  /** Calls in a burst, for each certificate or, without one, each address. */
  readonly callBurst: number;
  /** Calls a second in the long run, for each certificate or address. */
  readonly callsPerSecond: number;
  /** Callers whose rate is remembered; the one that was quiet longest is forgotten first. */
  readonly rateKeysMax: number;
  /** Log streams open at the same time, from all callers. */
  readonly logStreamsMax: number;
  /** Longest run of a call that answers once. */
  readonly unaryCallMs: number;
  /** Longest run of a call that answers once and waits for a disk or a server. */
  readonly slowCallMs: number;
  /** Longest run of a call that sends a stream. */
  readonly streamCallMs: number;
  /** When the agent ends, running calls have this long: the answer to "reboot" is among them. */
  readonly closeGraceMs: number;
}

/** The limits in force on a node. */
export const LIMITS: Limits = {
  messageBytesMax: 1_048_576,
  streamsPerConnectionMax: 32,
  unprovenPerAddressMax: 48,
  unprovenMax: 96,
  provenPerCertificateMax: 32,
  provenMax: 64,
  handshakeMs: 15_000,
  unprovenLifetimeMs: 60_000,
  connectionIdleMs: 600_000,
  connectionAgeMs: 12 * 3_600_000,
  keepAliveMs: 60_000,
  keepAliveAnswerMs: 20_000,
  callBurst: 60,
  callsPerSecond: 20,
  rateKeysMax: 256,
  logStreamsMax: 16,
  unaryCallMs: 30_000,
  slowCallMs: 900_000,
  streamCallMs: 86_400_000,
  closeGraceMs: 1_000,
};
