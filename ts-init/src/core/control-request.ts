/**
 * Reads one request line of the control socket. The agent is trusted, its bytes are checked all the same.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { InitReply, InitRequest } from '@keelos/proto/init-control.ts';
import { isHostname } from './hostname.ts';

const TAIL_LINES_MAX = 1_000_000;
const REASON_CHARS_MAX = 1_000;
const STEP = /^[a-z0-9][a-z0-9-]{0,63}$/;
const SERVICE = /^[a-z0-9][a-z0-9-]{0,63}$/;

type Fields = Readonly<Record<string, unknown>>;

function refuse(reason: string): never {
  throw new KeelError('E_INVALID_ARGUMENT', `Cannot read request to PID 1: ${reason}`);
}

function text(fields: Fields, key: string, pattern?: RegExp): string {
  const value = fields[key];
  if (typeof value !== 'string') refuse(`${key} is not a string`);
  if (pattern !== undefined && !pattern.test(value))
    refuse(`${key} has characters or a length that it may not have`);
  return value;
}

function readLogRequest(fields: Fields): InitRequest {
  const { tailLines, follow } = fields;
  if (typeof follow !== 'boolean') refuse('follow is not a boolean');
  const service = text(fields, 'service', SERVICE);
  if (tailLines === undefined) return { op: 'readLog', service, follow };
  const valid = typeof tailLines === 'number' && Number.isSafeInteger(tailLines) && tailLines >= 0;
  if (!valid || tailLines > TAIL_LINES_MAX) refuse(`tailLines is not within 0..${TAIL_LINES_MAX}`);
  return { op: 'readLog', service, follow, tailLines };
}

/**
 * Parses a line.
 *
 * @throws KeelError E_INVALID_ARGUMENT when it is not a request.
 */
export function parseRequest(line: string): InitRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    refuse('not JSON');
  }
  if (typeof value !== 'object' || value === null) refuse('not an object');
  const fields: Fields = { ...value };
  switch (fields.op) {
    case 'listServices':
      return { op: 'listServices' };
    case 'reboot':
    case 'powerOff':
      return { op: fields.op, reason: text(fields, 'reason').slice(0, REASON_CHARS_MAX) };
    case 'restartService': {
      const { kill } = fields;
      if (typeof kill !== 'boolean') refuse('kill is not a boolean');
      return { op: 'restartService', service: text(fields, 'service', SERVICE), kill };
    }
    case 'keepAlive':
      return { op: 'keepAlive', service: text(fields, 'service', SERVICE) };
    case 'readLog':
      return readLogRequest(fields);
    case 'raiseClock': {
      const { timeMs, source } = fields;
      if (typeof timeMs !== 'number') refuse('timeMs is not a number');
      if (source !== 'operator' && source !== 'ntp') refuse('source is not operator or ntp');
      return { op: 'raiseClock', timeMs, source };
    }
    case 'setHostname': {
      const hostname = text(fields, 'hostname');
      if (!isHostname(hostname)) refuse('hostname is not a host name');
      return { op: 'setHostname', hostname };
    }
    case 'markBoot':
      return { op: 'markBoot', step: text(fields, 'step', STEP) };
    case 'settleTrial': {
      const { outcome, reason = '' } = fields;
      if (outcome !== 'committed' && outcome !== 'given-up') {
        refuse('outcome is not committed or given-up');
      }
      if (typeof reason !== 'string') refuse('reason is not a string');
      return { op: 'settleTrial', outcome, reason: reason.slice(0, REASON_CHARS_MAX) };
    }
    default:
      return refuse('unknown op');
  }
}

/** The reply for an error: its code when it has one, E_INTERNAL otherwise. */
export function errorReply(error: unknown): InitReply {
  return error instanceof KeelError
    ? { type: 'error', code: error.code, message: error.message }
    : { type: 'error', code: 'E_INTERNAL', message: String(error) };
}
