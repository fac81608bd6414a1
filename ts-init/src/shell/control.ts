/**
 * Answers the agent's requests (proto/src/init-control.ts).
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { InitReply, InitRequest, LogLine } from '@keelos/proto/init-control.ts';
import { errorReply, parseRequest } from '../core/control-request.ts';
import type { ShutdownKind } from '../core/shutdown-plan.ts';
import type { LineReply } from '../sys/line-server.ts';
import type { BootLedger } from './boot-ledger.ts';
import type { ClockKeeper } from './clock-keeper.ts';
import type { ServiceRunner } from './service-runner.ts';
import type { TrialGuard } from './trial-guard.ts';

/** What requests act upon. */
export interface ControlTargets {
  readonly services: ServiceRunner;
  readonly clock: ClockKeeper;
  readonly ledger: BootLedger;
  readonly trial: Pick<TrialGuard, 'settle'>;
  setHostname(hostname: string): void;
  /** Begins to go down; returns at once. */
  leave(kind: ShutdownKind, reason: string): void;
}

/** Answers one request line. Never throws. */
export function answerRequest(line: string, reply: LineReply, targets: ControlTargets): void {
  const send = (message: InitReply) => reply.send(JSON.stringify(message));
  try {
    const request = parseRequest(line);
    if (request.op === 'readLog') {
      readLog(request, { reply, send, targets });
      return;
    }
    send(perform(request, targets));
  } catch (error) {
    send(errorReply(error));
  }
  reply.end();
}

function perform(
  request: Exclude<InitRequest, { op: 'readLog' }>,
  targets: ControlTargets,
): InitReply {
  switch (request.op) {
    case 'listServices':
      return { type: 'services', services: targets.services.list() };
    case 'reboot':
    case 'powerOff':
      targets.leave(request.op, request.reason);
      return { type: 'ok' };
    case 'restartService':
      if (!targets.services.restart(request.service, request.kill)) {
        throw noService('restart service', request.service);
      }
      return { type: 'ok' };
    case 'keepAlive':
      if (!targets.services.keepAlive(request.service)) {
        throw noService('keep service alive', request.service);
      }
      return { type: 'ok' };
    case 'raiseClock':
      targets.clock.raise(request);
      return { type: 'ok' };
    case 'setHostname':
      targets.setHostname(request.hostname);
      return { type: 'ok' };
    case 'markBoot':
      targets.ledger.mark(request.step);
      targets.ledger.write();
      return { type: 'ok' };
    case 'settleTrial':
      targets.trial.settle(request.outcome, request.reason ?? '');
      return { type: 'ok' };
  }
}

function noService(task: string, service: string): KeelError {
  return new KeelError('E_NOT_FOUND', `Cannot ${task}: there is no service ${service}`);
}

function readLog(
  request: Extract<InitRequest, { op: 'readLog' }>,
  to: {
    readonly reply: LineReply;
    readonly send: (message: InitReply) => boolean;
    readonly targets: ControlTargets;
  },
): void {
  const { reply, send } = to;
  const log = to.targets.services.log(request.service);
  if (log === undefined) throw noService('read log', request.service);
  const tooSlow = () => {
    const error = new KeelError('E_LIMIT_EXCEEDED', 'Cannot follow log: lines are read too slowly');
    // The queue is full, so this may not be sent either; the end of the connection then says it.
    send(errorReply(error));
    reply.end();
  };
  const kept = log.tail(request.tailLines);
  const sendLine = (line: LogLine) => send({ type: 'log', line });
  if (!request.follow) {
    if (kept.every(sendLine)) {
      send({ type: 'ok' });
      reply.end();
    } else tooSlow();
    return;
  }
  const unfollow = log.follow((line) => {
    if (sendLine(line)) return;
    unfollow?.();
    tooSlow();
  });
  if (unfollow === undefined) {
    throw new KeelError('E_LIMIT_EXCEEDED', 'Cannot follow log: too many followers');
  }
  reply.onClose(unfollow);
  if (!kept.every(sendLine)) {
    unfollow();
    tooSlow();
  }
}
