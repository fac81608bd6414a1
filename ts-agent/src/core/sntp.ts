/**
 * SNTP messages (RFC 4330; on-wire checks of RFC 5905, 8). Pure.
 *
 *      0: leap (2 bits), version (3), mode (3) | 1: stratum | 24: originate | 32: receive | 40: transmit
 *
 * A timestamp is seconds since 1900 and a fraction, 32 bits each.
 */

/** Bytes of a message without extensions. */
export const SNTP_BYTES = 48;
/** Seconds from 1900 to 1970. */
const ERA_SECONDS = 2_208_988_800;
const MODE_SERVER = 4;
const MODE_CLIENT = 3;
const VERSION = 4;
const STRATUM_MAX = 15;
/** Longest round trip whose time is believed. */
export const ROUND_TRIP_MS_MAX = 2_000;

/**
 * A request. `nonce`, 8 random bytes, stands where the client's time would: the answer has to repeat it, and the
 * client's clock stays private (draft-ietf-ntp-data-minimization).
 */
export function sntpRequest(nonce: Uint8Array): Uint8Array {
  if (nonce.length !== 8) throw new RangeError(`nonce of ${nonce.length} bytes`);
  const message = Buffer.alloc(SNTP_BYTES);
  message[0] = (VERSION << 3) | MODE_CLIENT;
  message.set(nonce, 40);
  return message;
}

/** What an answer is checked against. */
export interface SntpExchange {
  readonly nonce: Uint8Array;
  readonly roundTripMs: number;
  /** No time before this is believed: when the image was built. Unix milliseconds. */
  readonly notBeforeMs: number;
}

/** Result of {@link parseSntpAnswer}. */
export type SntpVerdict =
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'unusable'; readonly reason: string };

/** The server's time, Unix milliseconds, half a round trip added; or why the answer is not believed. */
export function parseSntpAnswer(bytes: Uint8Array, exchange: SntpExchange): SntpVerdict {
  const unusable = (reason: string) => ({ kind: 'unusable', reason }) as const;
  if (bytes.length < SNTP_BYTES) return unusable(`${bytes.length} bytes, expected ${SNTP_BYTES}`);
  const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = message.readUInt8(0);
  const stratum = message.readUInt8(1);
  if ((first & 7) !== MODE_SERVER) return unusable('not a server answer');
  if (((first >> 3) & 7) < 3) return unusable('version below 3');
  if (Buffer.compare(message.subarray(24, 32), exchange.nonce) !== 0) {
    return unusable('answer to another question');
  }
  if (first >> 6 === 3) return unusable('server is not synchronised');
  if (stratum === 0) {
    return unusable(`kiss of death ${message.toString('latin1', 12, 16).replace(/[^A-Z]/g, '')}`);
  }
  if (stratum > STRATUM_MAX) return unusable(`stratum ${stratum}`);
  if (exchange.roundTripMs > ROUND_TRIP_MS_MAX) {
    return unusable(`round trip of ${Math.round(exchange.roundTripMs)} ms`);
  }
  const seconds = message.readUInt32BE(40);
  const fraction = message.readUInt32BE(44);
  if (seconds === 0) return unusable('no transmit time');
  // RFC 4330, 3: with the top bit clear, the second era, from 2036.
  const era = seconds >= 0x8000_0000 ? 0 : 0x1_0000_0000;
  const serverMs = (era + seconds - ERA_SECONDS) * 1000 + (fraction * 1000) / 0x1_0000_0000;
  const timeMs = Math.round(serverMs + exchange.roundTripMs / 2);
  return timeMs < exchange.notBeforeMs
    ? unusable(`time ${new Date(timeMs).toISOString()} is before the image was built`)
    : { kind: 'time', timeMs };
}
