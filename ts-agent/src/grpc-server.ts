/**
 * The gRPC server behind the listener: every service, one gate before all of them.
 */
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';
import { Server, ServerCredentials, ServerInterceptingCall } from '@grpc/grpc-js';
import { KeelError } from '@keelos/proto/errors.ts';
import { Health } from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { ServerReflection } from '@keelos/proto/gen/grpc/reflection/v1/reflection_pb.js';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { Caller } from './core/access.ts';
import type { Buckets } from './core/token-bucket.ts';
import { takeToken } from './core/token-bucket.ts';
import type { Node } from './node.ts';
import { configMethods } from './services/config.ts';
import { diagnosticsMethods } from './services/diagnostics.ts';
import { enrolmentMethods } from './services/enrolment.ts';
import { grpcHealthMethods } from './services/grpc-health.ts';
import { healthMethods } from './services/health.ts';
import { lifecycleMethods } from './services/lifecycle.ts';
import { reflectionMethods } from './services/reflection.ts';
import { systemMethods } from './services/system.ts';
import { SLOW_UPDATE_METHODS, updateMethods } from './services/update.ts';
import type { CallEnvironment } from './shell/calls.ts';
import { addService, wireStatus } from './shell/calls.ts';

/** Older name of reflection, which many tools still ask for. Its messages are the same. */
const REFLECTION_V1_ALPHA = 'grpc.reflection.v1alpha.ServerReflection';

/** A running server. */
export interface GrpcServer {
  /** Tells every client to go; calls that run may end. */
  drain(): void;
  /** Ends every call. */
  close(): void;
}

/** Puts every service of `node` behind its listener. */
export function startGrpcServer(node: Node): GrpcServer {
  const { limits, listener } = node;
  const environment = callEnvironment(node);
  const server = new Server({
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_send_message_length': limits.messageBytesMax,
    'grpc.max_concurrent_streams': limits.streamsPerConnectionMax,
    'grpc.max_connection_idle_ms': limits.connectionIdleMs,
    // Without a grace: streams that are followed have a limit of their own.
    'grpc.max_connection_age_ms': limits.connectionAgeMs,
    'grpc.keepalive_time_ms': limits.keepAliveMs,
    'grpc.keepalive_timeout_ms': limits.keepAliveAnswerMs,
    'grpc.enable_channelz': 0,
    interceptors: [gate(node, environment)],
  });
  addServices(server, node, environment);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  listener.serve((socket) => injector.injectConnection(socket));
  return {
    drain: () => injector.drain(limits.closeGraceMs),
    close: () => {
      injector.destroy();
      server.forceShutdown();
    },
  };
}

function addServices(server: Server, node: Node, environment: CallEnvironment): void {
  const own = [
    SystemService,
    HealthService,
    LifecycleService,
    EnrolmentService,
    ConfigService,
    DiagnosticsService,
    UpdateService,
    Health,
    ServerReflection,
  ];
  addService(server, { descriptor: SystemService, methods: systemMethods(node) }, environment);
  addService(server, { descriptor: HealthService, methods: healthMethods(node) }, environment);
  addService(
    server,
    { descriptor: LifecycleService, methods: lifecycleMethods(node) },
    environment,
  );
  addService(
    server,
    { descriptor: EnrolmentService, methods: enrolmentMethods(node) },
    environment,
  );
  addService(server, { descriptor: ConfigService, methods: configMethods(node) }, environment);
  addService(
    server,
    { descriptor: DiagnosticsService, methods: diagnosticsMethods(node) },
    environment,
  );
  addService(
    server,
    {
      descriptor: UpdateService,
      methods: updateMethods(node),
      slowMethods: SLOW_UPDATE_METHODS,
    },
    environment,
  );
  const health = grpcHealthMethods(node, new Set(own.map(({ typeName }) => typeName)));
  addService(server, { descriptor: Health, methods: health }, environment);
  const reflection = reflectionMethods(own);
  addService(server, { descriptor: ServerReflection, methods: reflection }, environment);
  addService(
    server,
    { descriptor: ServerReflection, methods: reflection, alias: REFLECTION_V1_ALPHA },
    environment,
  );
}

/**
 * Who calls `method` now, or why not. Asked twice in the life of a call: when its headers are here, so that nothing of a
 * stranger is read, and when its message is. Between the two a caller may wait as long as it likes, and its enrolment end.
 */
function decide({ trust, listener }: Node, peer: string, method: string): Caller | KeelError {
  return trust.decide(method, listener.shownBy(peer));
}

function callEnvironment(node: Node): CallEnvironment {
  const { ports, limits } = node;
  return {
    limits,
    log: ports.log,
    correlationId: () => Buffer.from(ports.random(6)).toString('hex'),
    nowMs: () => ports.clock.nowMs(),
    callerOf: (peer, method) => {
      const decision = decide(node, peer, method);
      if (decision instanceof KeelError) throw decision;
      return decision;
    },
  };
}

/** Answers every call that may not go on, before its message is read. */
function gate(node: Node, environment: CallEnvironment): ServerInterceptor {
  const { ports, limits } = node;
  const shape = {
    capacity: limits.callBurst,
    refillPerSecond: limits.callsPerSecond,
    keysMax: limits.rateKeysMax,
  };
  let buckets: Buckets = new Map();
  /** Peers without an enrolled certificate whose call is running: one each, which bounds what they can make us hold. */
  const busyStrangers = new Set<string>();

  const admit = (peer: string, method: string): KeelError | { end(): void } => {
    const decision = decide(node, peer, method);
    const isOperator = !(decision instanceof KeelError) && decision.kind === 'operator';
    const key = isOperator ? decision.fingerprint : peer.slice(0, peer.lastIndexOf(':'));
    const taken = takeToken(buckets, shape, { key, nowMs: ports.clock.monotonicMs() });
    buckets = taken.buckets;
    if (!taken.isTaken) {
      const limit = `${limits.callsPerSecond} calls a second, ${limits.callBurst} at once`;
      return new KeelError('E_RATE_LIMITED', `Cannot call ${method}: more than ${limit}`);
    }
    if (decision instanceof KeelError) return decision;
    if (isOperator) return { end: () => undefined };
    if (busyStrangers.has(peer)) {
      return new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot call ${method}: another call runs on this connection, and its certificate is not enrolled`,
      );
    }
    busyStrangers.add(peer);
    return { end: () => busyStrangers.delete(peer) };
  };

  return (method, call) => {
    let admitted: { end(): void } | undefined;
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata: Metadata, goOn: (metadata: Metadata) => void) => {
            const admission = admit(call.getPeer(), method.path);
            if (admission instanceof KeelError) {
              call.sendStatus(wireStatus(admission, environment));
              return;
            }
            admitted = admission;
            goOn(metadata);
          },
          // Called at the end of every call, however it ended.
          onCancel: () => admitted?.end(),
        }),
    });
  };
}
