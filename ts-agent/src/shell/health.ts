/** Runs the health checks: gathers each one's facts within a time of its own, and lets core/health-checks.ts judge. */
import { X509Certificate } from 'node:crypto';
import { BOOT_SECTOR_BYTES, fatShape } from '../core/fat-shape.ts';
import type { Verdict } from '../core/health-checks.ts';
import {
  judgeBootCounting,
  judgeBootOptions,
  judgeCertificate,
  judgeConfiguration,
  judgeEsp,
  judgeImage,
  judgeInit,
  judgeMemory,
  judgeNetwork,
  judgeRoot,
  judgeStatePartition,
  judgeTime,
  judgeWatchdog,
} from '../core/health-checks.ts';
import type { CheckResult, HealthHistory } from '../core/health-history.ts';
import { recordVerdicts } from '../core/health-history.ts';
import { parseKilobytes } from '../core/proc-text.ts';
import type { AgentPorts } from '../ports.ts';
import type { BootState } from './boot-state.ts';
import type { LadderWatch } from './ladder-watch.ts';
import type { NodeConfigStore } from './node-config-store.ts';
import { bootReport, espPartition, rootFacts } from './node-facts.ts';
import type { OutsideChecks } from './outside-checks.ts';
import type { RestartWatch } from './restart-watch.ts';
import type { ServerIdentity } from './server-identity.ts';
import type { Trust } from './trust.ts';
import type { WriteTest } from './write-test.ts';

/** Time for one check. */
export const CHECK_MS = 3_000;
/** A result this young is given again: probes and people may ask at the same time. */
const RESULT_LIFETIME_MS = 1_000;
const STATE_MOUNT = '/var';

/** Parts of the agent that are looked at. */
export interface HealthSubjects {
  readonly ports: AgentPorts;
  readonly identity: ServerIdentity;
  readonly trust: Trust;
  readonly configuration: NodeConfigStore;
  readonly restarts: RestartWatch;
  readonly writeTest: WriteTest;
  readonly bootState: Pick<BootState, 'counting'>;
  readonly ladder: Pick<LadderWatch, 'facts'>;
  readonly outside: OutsideChecks;
  /** Settles, within a bounded time, when PID 1 has done the steps that checks read about. */
  readonly bootTold: Promise<void>;
}

type Check = (subjects: HealthSubjects) => Promise<Verdict> | Verdict;

/** The node's own checks, in the order in which they are reported; those of what lies around it follow. */
const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['init', checkInit],
  ['api', () => ({ state: 'healthy', message: 'The API answers.', remedy: '' })],
  ['state-partition', checkStatePartition],
  ['esp', checkEsp],
  ['boot-counting', async ({ bootState }) => judgeBootCounting(await bootState.counting())],
  [
    'boot-options',
    async ({ ladder }) => {
      const { rungs, loaders } = await ladder.facts();
      return judgeBootOptions(rungs, loaders);
    },
  ],
  ['time', checkTime],
  ['network', checkNetwork],
  ['certificate', checkCertificate],
  ['root', async ({ ports }) => judgeRoot(await rootFacts(ports))],
  ['image', async ({ ports }) => judgeImage((await bootReport(ports.files)).image)],
  ['watchdog', async ({ ports }) => judgeWatchdog((await bootReport(ports.files)).watchdog)],
  ['configuration', checkConfiguration],
  ['memory', checkMemory],
];

/** Runs checks and remembers since when each has its state. */
export class HealthRunner {
  readonly #subjects: HealthSubjects;
  readonly #checkMs: number;
  #history: HealthHistory = new Map();
  /** Checks that have not ended: one that hangs is not started again, or hanging ones would pile up. */
  readonly #running = new Set<string>();
  #last: Promise<readonly CheckResult[]> | undefined;
  #endedAtMs = 0;

  constructor(subjects: HealthSubjects, checkMs = CHECK_MS) {
    this.#subjects = subjects;
    this.#checkMs = checkMs;
  }

  /**
   * Results of every check, at most a second old. Takes at most as long as one check may; while the node still boots,
   * until {@link HealthSubjects.bootTold} before that: what is not there yet is not failing.
   */
  results(): Promise<readonly CheckResult[]> {
    const ageMs = this.#subjects.ports.clock.monotonicMs() - this.#endedAtMs;
    if (this.#last === undefined || ageMs >= RESULT_LIFETIME_MS) {
      // Until this run ends, everybody who asks gets its results.
      this.#endedAtMs = Number.POSITIVE_INFINITY;
      this.#last = this.#run().finally(() => {
        this.#endedAtMs = this.#subjects.ports.clock.monotonicMs();
      });
    }
    return this.#last;
  }

  async #run(): Promise<readonly CheckResult[]> {
    await this.#subjects.bootTold;
    const verdicts = await Promise.all(
      [...CHECKS, ...this.#subjects.outside.checks()].map(
        async ([name, check]) => [name, await this.#verdict(name, check)] as const,
      ),
    );
    const nowMs = this.#subjects.ports.clock.nowMs();
    const { history, results } = recordVerdicts(this.#history, verdicts, nowMs);
    this.#history = history;
    return results;
  }

  async #verdict(name: string, check: Check): Promise<Verdict> {
    if (this.#running.has(name)) return unknown('an earlier run of it has not ended');
    this.#running.add(name);
    const late = Promise.withResolvers<Verdict>();
    const timer = setTimeout(() => {
      late.resolve(unknown(`no result within ${this.#checkMs} ms`));
    }, this.#checkMs);
    const run = async (): Promise<Verdict> => {
      try {
        return await check(this.#subjects);
      } finally {
        this.#running.delete(name);
      }
    };
    try {
      return await Promise.race([run(), late.promise]);
    } catch (cause) {
      return unknown(cause instanceof Error ? cause.message : String(cause));
    } finally {
      clearTimeout(timer);
    }
  }
}

function unknown(reason: string): Verdict {
  return {
    state: 'failing',
    message: `The check could not be made: ${reason}.`,
    remedy: 'Look at osctl dmesg and osctl logs agent.',
  };
}

async function checkInit({ ports, restarts }: HealthSubjects): Promise<Verdict> {
  const report = await bootReport(ports.files);
  return judgeInit(await restarts.services(), report.failures, ports.clock.nowMs());
}

async function checkStatePartition({ ports, trust, writeTest }: HealthSubjects): Promise<Verdict> {
  const { state } = await bootReport(ports.files);
  const isOnDisk = state.mode === 'disk' || state.mode === 'backup-superblock';
  const writeProblem = isOnDisk ? await writeTest.problem() : '';
  const room = await ports.files.room(STATE_MOUNT);
  return judgeStatePartition({
    ...state,
    sizeBytes: room?.sizeBytes ?? 0,
    freeBytes: room?.availableBytes ?? 0,
    inodes: room?.inodes ?? 0,
    freeInodes: room?.freeInodes ?? 0,
    writeProblem,
    isTrustVolatile: trust.isVolatile,
  });
}

async function checkEsp({ ports }: HealthSubjects): Promise<Verdict> {
  const found = await espPartition(ports);
  if (found === undefined) return judgeEsp(undefined, undefined);
  const device = `/dev/${found.name}`;
  try {
    const partition = await ports.openDevice(device, 'read');
    try {
      // While another part of the agent has the device open, the page cache would answer for a disk that cannot any more.
      await partition.dropCache();
      const sector = Buffer.from(await partition.readAt(0, BOOT_SECTOR_BYTES));
      return judgeEsp(device, fatProblem(sector));
    } finally {
      await partition.close();
    }
  } catch (cause) {
    return judgeEsp(
      device,
      `it cannot be read (${cause instanceof Error ? cause.message : cause})`,
    );
  }
}

/** Why an update could not use the file system that begins with `sector`; undefined when it could. */
function fatProblem(sector: Buffer): string | undefined {
  try {
    fatShape(sector);
    return undefined;
  } catch (cause) {
    if (cause instanceof RangeError) return cause.message;
    throw cause;
  }
}

async function checkTime({ ports }: HealthSubjects): Promise<Verdict> {
  return judgeTime((await bootReport(ports.files)).clock, ports.clock.nowMs());
}

async function checkNetwork({ ports }: HealthSubjects): Promise<Verdict> {
  const { network } = await bootReport(ports.files);
  const addresses = ports.addresses().filter(({ isLinkLocal }) => !isLinkLocal);
  return judgeNetwork(
    addresses.map(({ cidr }) => cidr),
    network,
  );
}

function checkCertificate({ ports, identity, trust }: HealthSubjects): Verdict {
  const notAfterMs = new X509Certificate(identity.certificatePem).validToDate.getTime();
  const problems = [identity.problem, trust.problem].filter((problem) => problem !== '');
  return judgeCertificate({ notAfterMs, problems }, ports.clock.nowMs());
}

async function checkConfiguration({ ports, configuration }: HealthSubjects): Promise<Verdict> {
  const { configProblem } = await bootReport(ports.files);
  // What PID 1 found at boot is mended by any configuration that was applied since.
  const isMended = configuration.isAppliedSinceStart;
  const problem = configuration.problem || (isMended ? '' : configProblem);
  return judgeConfiguration(problem, configuration.revision);
}

async function checkMemory({ ports }: HealthSubjects): Promise<Verdict> {
  const memory = parseKilobytes((await ports.files.readText('/proc/meminfo')) ?? '');
  return judgeMemory(memory.get('MemTotal') ?? 0, memory.get('MemAvailable') ?? 0);
}
