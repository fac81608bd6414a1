/** Everything that starts once the port is open: services, time, the announcement on the console. */
import { setTimeout as sleep } from 'node:timers/promises';
import { announcementLines } from '@keelos/proto/console.ts';
import { TOKEN_LIFETIME_MS } from './core/enrolment.ts';
import type { Limits } from './core/limits.data.ts';
import { scheduleSubject } from './core/schedule-record.ts';
import { startGrpcServer } from './grpc-server.ts';
import type { Node } from './node.ts';
import type { AgentPorts } from './ports.ts';
import { attemptAsync } from './shell/attempt.ts';
import { BootLadder } from './shell/boot-ladder.ts';
import { BootState } from './shell/boot-state.ts';
import { bundleSource } from './shell/bundle-source.ts';
import { Committer } from './shell/committer.ts';
import { HealthRunner } from './shell/health.ts';
import { KeepAlive } from './shell/keep-alive.ts';
import { LadderWatch } from './shell/ladder-watch.ts';
import type { Listener } from './shell/listener.ts';
import { NodeChannel } from './shell/node-channel.ts';
import { NodeConfigStore } from './shell/node-config-store.ts';
import { OutsideChecks, outsideSettings } from './shell/outside-checks.ts';
import { RestartWatch } from './shell/restart-watch.ts';
import { Scheduler } from './shell/scheduler.ts';
import type { ServerIdentity } from './shell/server-identity.ts';
import { TimeSync } from './shell/time-sync.ts';
import { awaitEvidence } from './shell/trial-evidence.ts';
import type { Trust } from './shell/trust.ts';
import { UpdateEngine } from './shell/update-engine.ts';
import { updatePorts } from './shell/update-node.ts';
import { WriteTest } from './shell/write-test.ts';

/** What was made before the port was opened. */
export interface Beginnings {
  readonly ports: AgentPorts;
  readonly limits: Limits;
  readonly identity: ServerIdentity;
  readonly trust: Trust;
  readonly listener: Listener;
  /** Build time of the image, Unix milliseconds; 0 when it names none. */
  readonly buildMs: number;
  readonly hostname: string;
  readonly version: string;
}

/** What {@link startServices} started. */
export interface RunningServices {
  /** Settles when the announcement is on the console, or cannot be. */
  readonly announced: Promise<void>;
  /** Takes no new calls; those that run may end. */
  drain(): void;
  close(): Promise<void>;
}

/** Starts all of it. */
export async function startServices(beginnings: Beginnings): Promise<RunningServices> {
  const { ports, trust, identity } = beginnings;
  const configuration = new NodeConfigStore(ports);
  configuration.rememberBoot();
  const timeSync = new TimeSync(ports, beginnings.buildMs);
  const restarts = new RestartWatch(ports);
  const writeTest = new WriteTest(ports);
  const outside = new OutsideChecks(ports);
  const keepAlive = new KeepAlive(ports);
  const bootState = new BootState(ports);
  const bootLadder = new BootLadder(ports, bootState);
  const ending = new AbortController();
  const health = new HealthRunner({
    ports,
    identity,
    trust,
    configuration,
    restarts,
    writeTest,
    outside,
    bootState,
    ladder: new LadderWatch(bootLadder, ports.clock),
    bootTold: bootTold(ports, { bootState, signal: ending.signal }),
  });
  const updates = startUpdates(beginnings, { configuration, health, bootState, bootLadder });
  const { engine, scheduler, channel } = updates;
  const server = startGrpcServer({
    ...beginnings,
    configuration,
    timeSync,
    health,
    outside,
    bootState,
    bootLadder,
    engine,
    scheduler,
    channel,
  });
  timeSync.restart(configuration.config?.time.servers ?? []);
  outside.restart(outsideSettings(configuration));
  restarts.start();
  keepAlive.start();
  updates.begin();
  // A console that takes nothing must not hold up who calls.
  const announced = announce(beginnings, configuration).catch((cause: unknown) => {
    ports.log(`announcement not written: ${String(cause)}`);
  });
  return {
    announced,
    drain() {
      ending.abort();
      updates.drain();
      timeSync.close();
      outside.close();
      restarts.close();
      keepAlive.close();
      server.drain();
    },
    async close() {
      server.close();
      await engine.close();
    },
  };
}

/** Time for the first look at the loader's counting, which reads the EFI system partition: a busy machine needs seconds. */
const FIRST_LOOK_MS_MAX = 30_000;

/**
 * Settles when PID 1 has done what checks read about, and the one look that takes long has been taken: what it saw is
 * remembered. Within a bounded time, and when `signal` is aborted.
 */
async function bootTold(
  ports: AgentPorts,
  of: { readonly bootState: Pick<BootState, 'counting'>; readonly signal: AbortSignal },
): Promise<void> {
  const wait = (ms: number) => sleep(ms, undefined, { signal: of.signal, ref: false });
  // The committer waits for the same, and says when it never comes.
  const silent = { files: ports.files, log: () => {} };
  await awaitEvidence(silent, wait).catch(() => {});
  const look = of.bootState.counting().catch(() => undefined);
  await Promise.race([look, wait(FIRST_LOOK_MS_MAX).catch(() => undefined)]);
}

interface UpdateParts {
  readonly engine: UpdateEngine;
  readonly scheduler: Scheduler;
  readonly channel: NodeChannel;
  /** Judges the trial and the schedules: once calls are answered. */
  begin(): void;
  drain(): void;
}

/** What installs, tries, schedules and follows. */
function startUpdates(
  { ports, identity, listener }: Beginnings,
  parts: Pick<Node, 'configuration' | 'health' | 'bootState' | 'bootLadder'>,
): UpdateParts {
  const { configuration, health, bootState, bootLadder } = parts;
  const touched = updatePorts({
    ports,
    identity,
    health,
    bootState,
    bootLadder,
    apiPort: listener.port,
  });
  // No apply outlives the agent: what one has left only takes room.
  const cleared = attemptAsync(ports.log, 'an earlier delta is left', async () => {
    await Promise.all([ports.deltaFile.remove(), ports.kernelFile.remove()]);
  });
  const engine: UpdateEngine = new UpdateEngine(touched, async () => {
    await cleared;
    await committer.judged;
  });
  const committer = new Committer(touched, engine);
  const scheduler = new Scheduler(ports, {
    async start({ id, url, sha256, policy }) {
      const source = await bundleSource(
        { url, deltaUrl: '', caPem: '' },
        { ports, configuration, progress: engine.progress },
      );
      const options = { sha256, policy, isDryRun: false, isRebootLeft: false, retryFailed: false };
      await engine.start(source, options, scheduleSubject(id));
    },
    history: () => engine.history.entries(),
  });
  const { arch } = touched.facts;
  const channel = new NodeChannel({ ports, configuration, engine, arch });
  return {
    engine,
    scheduler,
    channel,
    begin() {
      followCommitter(committer, ports.log);
      // What ran when the agent ended is judged by the history, which the committer brings in order.
      committer.judged.then(() => {
        scheduler.start();
        channel.follower.start();
      });
    },
    drain() {
      scheduler.close();
      channel.follower.close();
      committer.close();
    },
  };
}

/**
 * Runs it. What it does not expect is a bug: it ends the process, and PID 1 starts another, which judges the trial anew.
 *
 * @param end called with the bug
 */
export async function followCommitter(
  committer: Pick<Committer, 'run' | 'isClosed'>,
  log: (line: string) => void,
  end: (bug: unknown) => void = endProcess,
): Promise<void> {
  try {
    log(`updates: ${await committer.run()}`);
  } catch (cause) {
    if (committer.isClosed) return;
    log(`trial not judged to its end: ${String(cause)}`);
    end(cause);
  }
}

function endProcess(bug: unknown): void {
  queueMicrotask(() => {
    throw bug;
  });
}

/** Tells the person in front of the machine what is needed to get in. The token goes to the console and nowhere else. */
async function announce(
  { ports, trust, listener, identity, hostname, version }: Beginnings,
  configuration: NodeConfigStore,
): Promise<void> {
  const rule = configuration.config?.enrolment.consoleToken ?? 'every-boot';
  const isTokenMade = !trust.isTokenUsed && (rule === 'every-boot' || !trust.isEverEnrolled);
  const token = isTokenMade
    ? {
        token: trust.issueToken(),
        tokenExpires: new Date(ports.clock.nowMs() + TOKEN_LIFETIME_MS).toISOString(),
      }
    : {};
  await ports.writeConsole(
    announcementLines({
      version,
      hostname,
      addresses: ports
        .addresses()
        .filter(({ isLinkLocal }) => !isLinkLocal)
        .map(({ cidr }) => cidr),
      apiPort: listener.port,
      fingerprint: identity.fingerprint,
      ...token,
    }),
  );
}
