/**
 * Whom the node trusts: the enrolled operators and the one-time token, in memory and in their record.
 */
import type { X509Certificate } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type { Caller, ShownCertificate } from '../core/access.ts';
import { decideAccess } from '../core/access.ts';
import type { ClientCertificate } from '../core/client-certificate.ts';
import { judgeClientCertificate } from '../core/client-certificate.ts';
import type { EnrolmentState } from '../core/enrolment.ts';
import {
  freshToken,
  NO_TOKEN,
  offerToken,
  TOKEN_CHARS,
  tokenError,
  tokenFromRandom,
} from '../core/enrolment.ts';
import type { Operator } from '../core/operators.ts';
import {
  OPERATORS_MAX,
  OPERATORS_RECORD,
  operatorFrom,
  operatorsFrom,
  withOperator,
  withoutExpired,
} from '../core/operators.ts';
import type { AgentPorts } from '../ports.ts';

/** Record of the enrolled operators. */
export const OPERATORS_PATH = `${NODE_PATHS.trustDir}/operators.rec`;

/** Ports that trust needs. */
export type TrustPorts = Pick<AgentPorts, 'clock' | 'state' | 'random' | 'init' | 'log'>;

/** Keeper of the operators and of the token. Lives as long as the agent. */
export class Trust {
  readonly #ports: TrustPorts;
  readonly #notBeforeMsMax: number;
  #operators: readonly Operator[] = [];
  #isEverEnrolled = false;
  #isVolatile = false;
  /** The stored operators could not be read, and may be good: they are not written over. */
  #isUnreadable = false;
  #problem = '';
  #token: EnrolmentState = NO_TOKEN;
  /** Time that PID 1 was told last, so that it is told once. */
  #learnedMs = 0;

  /** @param notBeforeMsMax certificates that begin later are not accepted, Unix milliseconds */
  constructor(ports: TrustPorts, notBeforeMsMax: number) {
    this.#ports = ports;
    this.#notBeforeMsMax = notBeforeMsMax;
    this.#load();
  }

  /** What was wrong with the stored operators; empty when nothing was. */
  get problem(): string {
    return this.#problem;
  }

  /** True once an operator was enrolled, even if that certificate has expired since. */
  get isEverEnrolled(): boolean {
    return this.#isEverEnrolled;
  }

  /** True when an enrolment is in memory only, because it could not be stored. */
  get isVolatile(): boolean {
    return this.#isVolatile;
  }

  /** Makes a new token; the one before is worth nothing from then on. */
  issueToken(): string {
    const token = tokenFromRandom(this.#ports.random(TOKEN_CHARS));
    this.#token = freshToken(token, this.#ports.clock.monotonicMs());
    return token;
  }

  /** True when the certificate is enrolled and has not expired. */
  isEnrolled(fingerprint: string): boolean {
    const operator = this.#find(fingerprint);
    return operator !== undefined && operator.notAfterMs >= this.#ports.clock.nowMs();
  }

  /** Caller of `method`, or why it is refused. */
  decide(method: string, shown: ShownCertificate | undefined): Caller | KeelError {
    const operator = shown === undefined ? undefined : this.#find(shown.fingerprint);
    const nowMs = this.#ports.clock.nowMs();
    const decision = decideAccess({ method, shown, operator, nowMs });
    if (!(decision instanceof KeelError) && operator !== undefined) {
      this.#learnTime(operator.notBeforeMs, nowMs);
    }
    return decision;
  }

  /**
   * Enrols the certificate that a caller showed, for the right token.
   *
   * @throws KeelError E_NO_CLIENT_CERTIFICATE, E_CERTIFICATE_UNACCEPTABLE, E_CERTIFICATE_EXPIRED, E_TOKEN_WRONG,
   * E_TOKEN_USED, E_TOKEN_EXPIRED, E_RATE_LIMITED, E_LIMIT_EXCEEDED
   */
  enrol(shown: X509Certificate | undefined, offered: string): Operator {
    if (shown === undefined) {
      throw new KeelError(
        'E_NO_CLIENT_CERTIFICATE',
        'Cannot enrol: no client certificate was shown',
      );
    }
    // Certificate and room first, so that a token is not spent on what could not be enrolled anyway.
    const certificate = this.#accepted(shown.raw);
    this.#assertRoom(certificate);
    this.#spendToken(offered);
    return this.#add(certificate, 'token');
  }

  /**
   * Enrols a successor of the caller's certificate; the subject has to stay.
   *
   * @throws KeelError E_CERTIFICATE_UNACCEPTABLE, E_CERTIFICATE_EXPIRED, E_LIMIT_EXCEEDED
   */
  renew(caller: Extract<Caller, { kind: 'operator' }>, der: Uint8Array): Operator {
    const certificate = this.#accepted(der);
    if (certificate.subject !== caller.subject) {
      throw new KeelError(
        'E_CERTIFICATE_UNACCEPTABLE',
        `Cannot renew the certificate: its subject is "${certificate.subject}", expected "${caller.subject}"`,
      );
    }
    this.#assertRoom(certificate);
    return this.#add(certificate, caller.fingerprint);
  }

  #find(fingerprint: string): Operator | undefined {
    return this.#operators.find((operator) => operator.fingerprint === fingerprint);
  }

  #accepted(der: Uint8Array): ClientCertificate {
    const nowMs = this.#ports.clock.nowMs();
    const verdict = judgeClientCertificate(der, { nowMs, notBeforeMsMax: this.#notBeforeMsMax });
    switch (verdict.kind) {
      case 'acceptable':
        return verdict.certificate;
      case 'expired': {
        const notAfter = new Date(verdict.notAfterMs).toISOString();
        throw new KeelError(
          'E_CERTIFICATE_EXPIRED',
          `Cannot enrol the certificate: it expired at ${notAfter}, the node's time is ${new Date(nowMs).toISOString()}`,
          { details: { not_after: notAfter } },
        );
      }
      case 'unacceptable':
        throw new KeelError(
          'E_CERTIFICATE_UNACCEPTABLE',
          `Cannot enrol the certificate: ${verdict.reason}`,
        );
    }
  }

  #assertRoom(certificate: ClientCertificate): void {
    const left = withoutExpired(this.#operators, this.#ports.clock.nowMs());
    if (left.length < OPERATORS_MAX || this.#find(certificate.fingerprint) !== undefined) return;
    throw new KeelError(
      'E_LIMIT_EXCEEDED',
      `Cannot enrol the certificate: ${OPERATORS_MAX} certificates are enrolled, the limit; each leaves when it expires`,
    );
  }

  #spendToken(offered: string): void {
    const { state, outcome } = offerToken(this.#token, offered, this.#ports.clock.monotonicMs());
    this.#token = state;
    if (outcome.kind === 'accepted') return;
    this.#ports.log(`enrolment refused: ${outcome.kind} token`);
    throw tokenError(outcome);
  }

  #add(certificate: ClientCertificate, by: string): Operator {
    const nowMs = this.#ports.clock.nowMs();
    const operator = operatorFrom(certificate, { atMs: nowMs, by });
    const next = withOperator(withoutExpired(this.#operators, nowMs), operator);
    if (next === undefined) throw new RangeError('no room, although room was checked');
    this.#operators = next;
    this.#isEverEnrolled = true;
    this.#store();
    this.#ports.log(`enrolled ${operator.fingerprint} "${operator.subject}" by ${by}`);
    this.#learnTime(certificate.notBeforeMs, nowMs);
    return operator;
  }

  /** A full disk must not keep an operator out who could make room: then the enrolment lasts until the next boot. */
  #store(): void {
    if (this.#isUnreadable) {
      this.#isVolatile = true;
      this.#ports.log('enrolment is in memory only: the stored operators could not be read');
      return;
    }
    try {
      const record = encodeRecord(OPERATORS_RECORD, { operators: this.#operators });
      this.#ports.state.replace(OPERATORS_PATH, record);
      this.#isVolatile = false;
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#isVolatile = true;
      this.#ports.log(`enrolment is in memory only: ${cause.message}`);
    }
  }

  #load(): void {
    try {
      const bytes = this.#ports.state.read(OPERATORS_PATH);
      if (bytes === undefined) return;
      const operators = operatorsFrom(decodeRecord(OPERATORS_RECORD, bytes));
      if (operators === undefined) {
        throw new KeelError(
          'E_RECORD_DAMAGED',
          `Cannot read ${OPERATORS_PATH}: unexpected content`,
        );
      }
      this.#isEverEnrolled = true;
      this.#operators = withoutExpired(operators, this.#ports.clock.nowMs());
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#isUnreadable = cause.code !== 'E_RECORD_DAMAGED' || !this.#isSetAside();
      const rest = this.#isUnreadable ? '; it stays on the disk as it is' : '';
      this.#problem = `The record of the enrolled operators could not be used: ${cause.message}${rest}.`;
      this.#ports.log(this.#problem);
    }
  }

  /** Moves the damaged record out of the way of the next one. */
  #isSetAside(): boolean {
    try {
      this.#ports.state.setAside(OPERATORS_PATH);
      return true;
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#ports.log(`damaged record left in place: ${cause.message}`);
      return false;
    }
  }

  /** The first moment of an enrolled certificate has certainly been reached. */
  #learnTime(notBeforeMs: number, nowMs: number): void {
    if (notBeforeMs <= nowMs || notBeforeMs <= this.#learnedMs) return;
    this.#learnedMs = notBeforeMs;
    this.#ports.init
      .request({ op: 'raiseClock', timeMs: notBeforeMs, source: 'operator' })
      .catch((cause: unknown) => this.#ports.log(`clock not raised: ${String(cause)}`));
  }
}
