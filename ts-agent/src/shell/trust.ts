/**
 * Whom the node trusts: the enrolled operators and the one-time token, in memory and in their record.
 */
import type { X509Certificate } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type { Caller, ShownCertificate } from '../core/access.ts';
import { decideAccess } from '../core/access.ts';
import type { CertificateVerdict, ClientCertificate } from '../core/client-certificate.ts';
import {
  clockAheadError,
  expiredError,
  judgeClientCertificate,
} from '../core/client-certificate.ts';
import type { EnrolmentState } from '../core/enrolment.ts';
import {
  NO_TOKEN,
  nextToken,
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
  withoutLineage,
  withRoom,
} from '../core/operators.ts';
import type { AgentPorts } from '../ports.ts';
import { keepIssuedToken, readIssuedToken } from './issued-token.ts';

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
    this.#token = readIssuedToken(ports);
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

  /** True when the token of this boot has been used: there is no other until the next boot. */
  get isTokenUsed(): boolean {
    return this.#token.isUsed;
  }

  /** Makes a new token; the one before is worth nothing from then on. */
  issueToken(): string {
    const token = tokenFromRandom(this.#ports.random(TOKEN_CHARS));
    this.#setToken(nextToken(this.#token, token, this.#ports.clock.monotonicMs()));
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
   * Enrols the certificate that a caller showed, for the right token. The right token is not spent on a certificate
   * that has expired by the node's clock: then it is the clock that is ahead.
   *
   * @throws KeelError E_NO_CLIENT_CERTIFICATE, E_CERTIFICATE_UNACCEPTABLE, E_CERTIFICATE_EXPIRED, E_TOKEN_WRONG,
   * E_TOKEN_USED, E_TOKEN_EXPIRED, E_RATE_LIMITED
   */
  enrol(shown: X509Certificate | undefined, offered: string): Operator {
    if (shown === undefined) {
      throw new KeelError(
        'E_NO_CLIENT_CERTIFICATE',
        'Cannot enrol: no client certificate was shown',
      );
    }
    // Form first, so that a token is not spent on what could not be enrolled anyway.
    const verdict = this.#judged(shown.raw);
    const spent = this.#offered(offered);
    if (verdict.kind === 'expired') throw clockAheadError(verdict, this.#ports.clock.nowMs());
    this.#setToken(spent);
    const live = withoutExpired(this.#operators, this.#ports.clock.nowMs());
    const isKnown = live.some(({ fingerprint }) => fingerprint === verdict.certificate.fingerprint);
    // Whoever has the console's token must not be kept out by a list that others have filled.
    return this.#add(verdict.certificate, 'token', isKnown ? live : withRoom(live));
  }

  /**
   * Enrols a successor of the caller's certificate; the subject has to stay.
   *
   * @throws KeelError E_CERTIFICATE_UNACCEPTABLE, E_CERTIFICATE_EXPIRED, E_LIMIT_EXCEEDED
   */
  renew(caller: Extract<Caller, { kind: 'operator' }>, der: Uint8Array): Operator {
    const nowMs = this.#ports.clock.nowMs();
    const verdict = this.#judged(der);
    if (verdict.kind === 'expired') throw expiredError(verdict, nowMs);
    const { certificate } = verdict;
    if (certificate.subject !== caller.subject) {
      throw new KeelError(
        'E_CERTIFICATE_UNACCEPTABLE',
        `Cannot renew the certificate: its subject is "${certificate.subject}", expected "${caller.subject}"`,
      );
    }
    const live = withoutExpired(this.#operators, nowMs);
    const { fingerprint } = certificate;
    return this.#add(
      certificate,
      caller.fingerprint,
      withoutLineage(live, caller.fingerprint, fingerprint),
    );
  }

  #find(fingerprint: string): Operator | undefined {
    return this.#operators.find((operator) => operator.fingerprint === fingerprint);
  }

  #judged(der: Uint8Array): Exclude<CertificateVerdict, { kind: 'unacceptable' }> {
    const nowMs = this.#ports.clock.nowMs();
    const verdict = judgeClientCertificate(der, { nowMs, notBeforeMsMax: this.#notBeforeMsMax });
    if (verdict.kind !== 'unacceptable') return verdict;
    throw new KeelError(
      'E_CERTIFICATE_UNACCEPTABLE',
      `Cannot enrol the certificate: ${verdict.reason}`,
    );
  }

  /** State once the right token is spent; a wrong try is counted here. @throws KeelError as {@link enrol} */
  #offered(offered: string): EnrolmentState {
    const { state, outcome } = offerToken(this.#token, offered, this.#ports.clock.monotonicMs());
    if (outcome.kind === 'accepted') return state;
    this.#setToken(state);
    this.#ports.log(`enrolment refused: ${outcome.kind} token`);
    throw tokenError(outcome);
  }

  #setToken(state: EnrolmentState): void {
    if (state === this.#token) return;
    this.#token = state;
    keepIssuedToken(this.#ports, state);
  }

  #add(certificate: ClientCertificate, by: string, others: readonly Operator[]): Operator {
    const nowMs = this.#ports.clock.nowMs();
    const operator = operatorFrom(certificate, { atMs: nowMs, by });
    const next = withOperator(others, operator);
    if (next === undefined) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot enrol the certificate: ${OPERATORS_MAX} certificates are enrolled, the limit; each leaves when it expires`,
      );
    }
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
    const before = this.#learnedMs;
    this.#learnedMs = notBeforeMs;
    const refused = (reason: string): void => {
      // The next call of an operator tells it again.
      if (this.#learnedMs === notBeforeMs) this.#learnedMs = before;
      this.#ports.log(`clock not raised: ${reason}`);
    };
    this.#ports.init.request({ op: 'raiseClock', timeMs: notBeforeMs, source: 'operator' }).then(
      (reply) => {
        if (reply.type === 'error') refused(`${reply.code} ${reply.message}`);
      },
      (cause: unknown) => refused(String(cause)),
    );
  }
}
