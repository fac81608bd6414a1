/**
 * Puts PID 1 together: boots, then waits for what happens.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';
import { AGENT_NAME, LINE_BYTES_MAX } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { BOOT_PLAN } from '../core/boot-plan.data.ts';
import { mountFlagBits } from '../core/boot-plan.ts';
import { DEFAULT_CONFIG } from '../core/node-config-value.ts';
import { SERVICES } from '../core/services.data.ts';
import { type ShutdownKind, shutdownPlan } from '../core/shutdown-plan.ts';
import type { LineReply, LineServerOptions } from '../sys/line-server.ts';
import type { SignalHandlers } from '../sys/signals.ts';
import { watchAgent } from './agent-watch.ts';
import { type BootActions, performBootPlan } from './boot.ts';
import { type BootLedger, createBootLedger } from './boot-ledger.ts';
import { checkImage } from './check-image.ts';
import { type ClockKeeper, createClockKeeper } from './clock-keeper.ts';
import { configureNetwork } from './configure-network.ts';
import { answerRequest } from './control.ts';
import { keepCrashReports } from './crash-reports.ts';
import { growState } from './grow-state.ts';
import { setHostname, setIdentity } from './identity.ts';
import { leaveForGood } from './last-resort.ts';
import { createLastWords } from './last-words.ts';
import { bounded, type Machine, monotonicMs } from './machine.ts';
import { type MountedState, mountState } from './mount-state.ts';
import { loadRandomSeed, saveRandomSeed } from './random-seed.ts';
import { readConfig } from './read-config.ts';
import { reapOrphans, sweepRegularly } from './reaper.ts';
import { createServiceRunner, type ServiceRunner } from './service-runner.ts';
import { performShutdown, type ShutdownActions, unmountOrFreeze } from './shutdown.ts';
import { createTrialGuard, type TrialGuard } from './trial-guard.ts';
import { createTrialTraces } from './trial-traces.ts';
import { createWatchdogFeeder, type WatchdogFeeder } from './watchdog-feeder.ts';

/** Ways in which the outside world reaches PID 1; real ones in main.ts. */
export interface InitInputs {
  readonly machine: Machine;
  listenBugs(bug: (error: unknown) => void): void;
  listenSignals(handlers: SignalHandlers): void;
  serveLines(
    options: LineServerOptions,
    answer: (line: string, reply: LineReply) => void,
  ): () => void;
}

/** Steps that the agent tells: its port is open; it answers calls. */
const AGENT_LISTENING_STEP = 'api-listening';
const AGENT_READY_STEP = 'api-ready';
/** What judges a trial waits for the agent's port this long, growing the state partition for its answers that long after. */
const LISTENING_WAIT_MS = 5_000;
const READY_WAIT_MS = 25_000;
/** Between the answer to a request and what ends the one who asked. */
const ANSWER_MS = 250;
const CONTROL_LIMITS = {
  lineBytesMax: LINE_BYTES_MAX,
  connectionsMax: 64,
  timeoutMs: 10_000,
  // More than a whole ring of short lines with JSON around them.
  pendingBytesMax: 4_194_304,
} as const;

interface Node {
  readonly machine: Machine;
  readonly ledger: BootLedger;
  readonly clock: ClockKeeper;
  readonly services: ServiceRunner;
  readonly watchdog: WatchdogFeeder;
  readonly trial: TrialGuard;
  readonly agent: AgentSteps;
  leave(kind: ShutdownKind, reason: string): void;
}

/** What the agent has told of its start. */
interface AgentSteps {
  /** Settles when the agent has told {@link AGENT_LISTENING_STEP}, or the one after. */
  readonly listens: Promise<void>;
  /** Settles when the agent has told {@link AGENT_READY_STEP}. */
  readonly answers: Promise<void>;
  /** Monotonic milliseconds of its last word that it serves its API, or that it is alive; undefined: there was none. */
  lastWordMs(): number | undefined;
  took(step: string): void;
  /** It has kept itself alive, as it does once it serves its API. */
  keptAlive(): void;
}

/** Boots the node. Settles when the boot plan is done; PID 1 then lives on its event handlers. */
export async function runInit(inputs: InitInputs): Promise<void> {
  const { machine } = inputs;
  const watchdog = createWatchdogFeeder(machine);
  const services = createServiceRunner(machine, SERVICES);
  const trial = createTrialGuard({
    machine,
    traces: createTrialTraces(machine, (count) => agentLines(services, count)),
    restartMachine: (reason) => leave('reboot', reason),
  });
  const lastWords = createLastWords(machine, watchdog, (reason) => trial.leaving(reason));
  inputs.listenBugs(lastWords);
  const ledger = createBootLedger(machine);
  ledger.mark('init-started');
  const setClock = (clock: BootReport['clock']) => {
    ledger.set({ clock });
  };
  const clock = createClockKeeper(machine, setClock);
  const leave = createLeaver({ machine, clock, services, watchdog, trial, lastWords });
  const more = { watchdog, trial, leave, agent: createAgentSteps(machine) };
  const node: Node = { machine, ledger, clock, services, ...more };
  inputs.listenSignals({
    leave: (reason) => leave('reboot', reason),
    child: () => void reapOrphans(machine),
  });
  try {
    const actions = bootActions(node, inputs);
    await performBootPlan(BOOT_PLAN, { machine, ledger, actions });
    sweepRegularly(machine);
    reapOrphans(machine);
    ledger.mark('boot-plan-done');
    ledger.write();
  } catch (error) {
    await lastWords(error);
  }
}

function createAgentSteps(machine: Machine): AgentSteps {
  const listens = Promise.withResolvers<void>();
  const answers = Promise.withResolvers<void>();
  let lastWordMs: number | undefined;
  const keptAlive = () => {
    lastWordMs = monotonicMs(machine);
    listens.resolve();
    answers.resolve();
  };
  return {
    listens: listens.promise,
    answers: answers.promise,
    lastWordMs: () => lastWordMs,
    took(step) {
      if (step === AGENT_LISTENING_STEP) listens.resolve();
      if (step === AGENT_READY_STEP) keptAlive();
    },
    keptAlive,
  };
}

function bootActions(node: Node, inputs: InitInputs): BootActions {
  const { machine, ledger, clock, services } = node;
  let state: MountedState | undefined;
  let config = DEFAULT_CONFIG;
  return {
    'arm-watchdog'() {
      ledger.set({ watchdog: node.watchdog.arm() });
    },
    async 'mount-state'() {
      state = await mountState(machine);
      ledger.set({ state: state.report });
      if (state.report.problem !== '') machine.log.error(`state: ${state.report.problem}`);
    },
    'read-config'() {
      const stored = readConfig(machine);
      config = stored.config;
      ledger.set({ configProblem: stored.problem });
    },
    'set-clock': () => clock.setAtBoot(),
    async 'let-agent-listen'() {
      await bounded(machine.clock, LISTENING_WAIT_MS, node.agent.listens);
    },
    'keep-crash-reports': () =>
      keepCrashReports(machine, {
        stateMode: ledger.report().state.mode,
        isTrial: node.trial.isTrial,
      }),
    'look-for-trial': () => node.trial.look(),
    'set-identity': () => setIdentity(machine, config),
    'start-services'() {
      services.start();
      watchAgent(machine, {
        lastWordMs: () => node.agent.lastWordMs(),
        failures: () => services.list().find(({ name }) => name === AGENT_NAME)?.restarts ?? 0,
        restartMachine: (reason) => node.leave('reboot', reason),
      });
    },
    'open-control-socket'() {
      // Before the socket, which tells the agent that the report is there. What comes later is written again.
      ledger.write();
      openControlSocket(node, inputs);
    },
    async 'configure-network'() {
      ledger.set({ network: await configureNetwork(machine, config) });
    },
    'load-random-seed': () => loadRandomSeed(machine),
    'listen-power-button'() {
      machine.listenPowerButton(() => node.leave('powerOff', 'power button'));
    },
    'take-ctrl-alt-del': () => machine.syscalls.disableCtrlAltDel(),
    async 'grow-state'() {
      // The agent waits for the last mark.
      ledger.write();
      // Writing to the disk now would keep the agent from loading.
      await bounded(machine.clock, READY_WAIT_MS, node.agent.answers);
      if (state?.partition === undefined || state.report.mode !== 'disk') return;
      await growState(machine, state.partition, '/var');
    },
    'say-up': () => machine.log.info(summary(ledger.report())),
    async 'check-image'() {
      ledger.set({ image: await checkImage(machine) });
    },
    'open-service-logs': () => services.openLogs(NODE_PATHS.serviceLogDir),
  };
}

function openControlSocket(node: Node, inputs: InitInputs): void {
  const { machine, ledger, clock, services } = node;
  const targets = {
    services: {
      ...services,
      keepAlive(name: string) {
        if (name === AGENT_NAME) node.agent.keptAlive();
        return services.keepAlive(name);
      },
    },
    trial: node.trial,
    clock: {
      ...clock,
      raise(request: Parameters<ClockKeeper['raise']>[0]) {
        clock.raise(request);
        ledger.write();
      },
    },
    ledger: {
      ...ledger,
      mark(step: string) {
        ledger.mark(step);
        node.agent.took(step);
      },
    },
    leave: (kind: ShutdownKind, reason: string) =>
      void machine.clock.after(ANSWER_MS, () => node.leave(kind, reason)),
    setHostname: (hostname: string) => setHostname(machine, hostname),
  };
  const options = {
    ...CONTROL_LIMITS,
    path: NODE_PATHS.initSocket,
    onError: (error: Error) => machine.log.error(`control socket: ${error.message}`),
  };
  inputs.serveLines(options, (line, reply) => answerRequest(line, reply, targets));
}

/** The way down; the first request counts. */
function createLeaver(of: {
  readonly machine: Machine;
  readonly clock: ClockKeeper;
  readonly services: ServiceRunner;
  readonly watchdog: WatchdogFeeder;
  readonly trial: TrialGuard;
  readonly lastWords: (error: unknown) => Promise<void>;
}): Node['leave'] {
  const { machine, clock, services, watchdog, trial, lastWords } = of;
  let leaving = false;
  return (kind, reason) => {
    if (leaving) return;
    leaving = true;
    machine.log.info(`${kind === 'reboot' ? 'rebooting' : 'powering off'}: ${reason}`);
    const graceMs = SERVICES.reduce((sum, service) => sum + service.stopGraceMs, 0);
    const frozen = (...more: readonly 'noexec'[]) =>
      mountFlagBits(['remount', 'ro', 'nosuid', 'nodev', ...more]);
    const actions: ShutdownActions = {
      'stop-services': () => services.stop(),
      'keep-trial-traces': () =>
        trial.leaving(
          `the machine was ${kind === 'reboot' ? 'restarted' : 'powered off'}: ${reason}`,
        ),
      'save-clock-floor': () => clock.saveFloor(),
      'save-random-seed': () => saveRandomSeed(machine),
      'close-logs': () => services.closeLogs(),
      sync: () => machine.syscalls.sync(),
      async 'unmount-container-store'() {
        await machine.syscalls.unmount(NODE_PATHS.containerStore);
      },
      'unmount-state': () =>
        unmountOrFreeze(machine, { target: '/var', remountFlagBits: frozen('noexec') }),
      'last-sync': () => machine.syscalls.sync(),
      leave: () => leaveForGood(machine, kind),
    };
    const using = { machine, actions, kind, watchdog };
    performShutdown(shutdownPlan(graceMs), using).catch(lastWords);
  };
}

function agentLines(services: ServiceRunner, count: number): readonly string[] {
  return (services.log(AGENT_NAME)?.tail(count) ?? []).map(({ line }) => line);
}

function summary(report: BootReport): string {
  const { state, network, clock, failures } = report;
  const parts = [
    `state ${state.mode}${state.device === '' ? '' : ` on ${state.device}`}`,
    `network ${network.mode}`,
    `clock ${clock.source}`,
    ...(failures.length === 0 ? [] : [`${failures.length} steps failed`]),
  ];
  return `up: ${parts.join(', ')}`;
}
