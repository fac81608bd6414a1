/** What this boot's token has come to, on a tmpfs: an agent that is started again knows of it, the next boot does not. */
import { KeelError } from '@keelos/proto/errors.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type { EnrolmentState } from '../core/enrolment.ts';
import { ENROLMENT_RECORD, enrolmentFrom, enrolmentPayload, NO_TOKEN } from '../core/enrolment.ts';
import type { AgentPorts } from '../ports.ts';

/** The record. */
export const ENROLMENT_PATH = '/run/keel/enrolment.rec';

type Ports = Pick<AgentPorts, 'state' | 'log'>;

/** The token's state; that of no token when none was made at this boot. */
export function readIssuedToken({ state, log }: Ports): EnrolmentState {
  try {
    const bytes = state.read(ENROLMENT_PATH);
    if (bytes === undefined) return NO_TOKEN;
    return enrolmentFrom(decodeRecord(ENROLMENT_RECORD, bytes)) ?? NO_TOKEN;
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`token of this boot not known: ${cause.message}`);
    return NO_TOKEN;
  }
}

/** Keeps the token's state; without it an agent that is started again makes another token. */
export function keepIssuedToken({ state, log }: Ports, token: EnrolmentState): void {
  try {
    state.replace(ENROLMENT_PATH, encodeRecord(ENROLMENT_RECORD, enrolmentPayload(token)));
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    log(`token of this boot not kept: ${cause.message}`);
  }
}
