/**
 * The node's configuration on the state partition: the one in force, the last ten, and the one that this boot began with.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { ConfigProblem, NodeConfigChange } from '@keelos/proto/node-config.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import type { NodeConfig, StoredConfig } from '@keelos/proto/stored-config.ts';
import { completedConfig, DOCUMENT_BYTES_MAX, STORED_CONFIG } from '@keelos/proto/stored-config.ts';
import { HISTORY_MAX, historyName, historyNames, isStoredConfig } from '../core/config-history.ts';
import type { AgentPorts } from '../ports.ts';

/** Revision that this boot began with: outlives the agent, not the boot. */
export const BOOT_CONFIG_PATH = '/run/keel/boot-config.rec';
/** Problems that fit into an error's details. */
const PROBLEMS_SHOWN_MAX = 8;

/** Who applies what. */
export interface Application {
  readonly yaml: string;
  readonly isDryRun: boolean;
  /** Revision that must be in force; undefined: any. */
  readonly expectedRevision: number | undefined;
  readonly subject: string;
  readonly fingerprint: string;
}

/** What an application changed, or would change. */
export interface ApplicationResult {
  readonly changes: readonly NodeConfigChange[];
  readonly revision: number;
  readonly isRebootRequired: boolean;
}

/** Keeper of the configuration. */
export class NodeConfigStore {
  readonly #ports: Pick<AgentPorts, 'state' | 'clock' | 'log'>;
  #current: StoredConfig | undefined;
  #problem = '';
  #isAppliedSinceStart = false;
  /** A stored host name could not be set on the running node. */
  isHostnameWaiting = false;

  constructor(ports: Pick<AgentPorts, 'state' | 'clock' | 'log'>) {
    this.#ports = ports;
    const current = this.#read(NODE_PATHS.nodeConfig);
    if (current instanceof KeelError) {
      // PID 1 does the same at boot, so that both of them and the operator mean one configuration.
      this.#current = this.history()[0];
      const instead =
        this.#current === undefined
          ? 'the defaults are used'
          : `revision ${this.#current.revision} of the history is used`;
      this.#problem = `${current.message}; ${instead}`;
      ports.log(`configuration not in use: ${this.#problem}`);
    } else {
      this.#current = current;
    }
  }

  /** Revision in force: the newest of the history when the stored one is damaged, 0 when there is none. */
  get revision(): number {
    return this.#current?.revision ?? 0;
  }

  /** What was wrong with the stored configuration; empty when nothing was. */
  get problem(): string {
    return this.#problem;
  }

  /** True when a configuration was stored since this process started. */
  get isAppliedSinceStart(): boolean {
    return this.#isAppliedSinceStart;
  }

  /** The value in force; undefined when it is the default. Does not load a YAML parser. */
  get config(): NodeConfig | undefined {
    return this.#current?.config;
  }

  /** The document in force. */
  async yaml(): Promise<string> {
    return this.#current?.yaml ?? (await schema()).DEFAULT_NODE_CONFIG_YAML;
  }

  /** The last revisions, newest first. Damaged ones are left out. */
  history(): readonly StoredConfig[] {
    const names = historyNames(this.#ports.state.list(NODE_PATHS.nodeConfigHistoryDir));
    return names.slice(0, HISTORY_MAX).flatMap((name) => {
      const stored = this.#read(`${NODE_PATHS.nodeConfigHistoryDir}/${name}`);
      return stored === undefined || stored instanceof KeelError ? [] : [stored];
    });
  }

  /** Remembers what this boot began with, when nobody has yet. */
  rememberBoot(): void {
    try {
      if (this.#ports.state.read(BOOT_CONFIG_PATH) !== undefined) return;
      const payload = this.#current ?? { revision: 0 };
      this.#ports.state.replace(BOOT_CONFIG_PATH, encodeRecord(STORED_CONFIG, payload));
    } catch (cause) {
      this.#ports.log(`boot configuration not remembered: ${String(cause)}`);
    }
  }

  /** True when a stored setting waits for a reboot. */
  async isRebootRequired(): Promise<boolean> {
    return this.isHostnameWaiting || (await this.#waitsForReboot(this.#current?.config));
  }

  /**
   * Checks a document, compares it, and unless it is a dry run or nothing differs, stores it.
   *
   * @throws KeelError E_LIMIT_EXCEEDED, E_CONFIG_INVALID, E_CONFIG_CONFLICT, E_STATE_FULL, E_STATE_UNAVAILABLE
   */
  async apply(application: Application): Promise<ApplicationResult> {
    const bytes = Buffer.byteLength(application.yaml);
    if (bytes > DOCUMENT_BYTES_MAX) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot apply the configuration: ${bytes} bytes, at most ${DOCUMENT_BYTES_MAX} are accepted`,
      );
    }
    const { parseNodeConfig, diffNodeConfig, DEFAULT_NODE_CONFIG } = await schema();
    const parsed = parseNodeConfig(application.yaml);
    if (!parsed.ok) throw invalid(parsed.problems);
    // From here to the write nothing waits, so two callers cannot both see the same revision.
    const { expectedRevision } = application;
    if (expectedRevision !== undefined && expectedRevision !== this.revision) {
      throw new KeelError(
        'E_CONFIG_CONFLICT',
        `Cannot apply the configuration: revision ${this.revision} is in force, expected ${expectedRevision}`,
        { details: { revision: String(this.revision) } },
      );
    }
    const changes = diffNodeConfig(this.#current?.config ?? DEFAULT_NODE_CONFIG, parsed.config);
    const isNew = changes.length > 0 || this.#problem !== '';
    if (!application.isDryRun && isNew) this.#store(application, parsed.config);
    const isRebootRequired = await this.#waitsForReboot(parsed.config);
    return { changes, revision: this.revision, isRebootRequired };
  }

  #store(application: Application, config: NodeConfig): void {
    const newest = historyNames(this.#ports.state.list(NODE_PATHS.nodeConfigHistoryDir))[0];
    const revision = Math.max(this.revision, Number.parseInt(newest ?? '0', 10)) + 1;
    const stored: StoredConfig = {
      revision,
      timeMs: this.#ports.clock.nowMs(),
      subject: application.subject,
      fingerprint: application.fingerprint,
      yaml: application.yaml,
      config,
    };
    const record = encodeRecord(STORED_CONFIG, stored);
    // History first: a crash in between leaves an entry that was never in force, not one that is missing.
    const directory = NODE_PATHS.nodeConfigHistoryDir;
    this.#ports.state.replace(`${directory}/${historyName(revision)}`, record);
    this.#ports.state.replace(NODE_PATHS.nodeConfig, record);
    if (this.#problem !== '') this.#ports.log('configuration replaced that could not be read');
    this.#current = stored;
    this.#problem = '';
    this.#isAppliedSinceStart = true;
    for (const name of historyNames(this.#ports.state.list(directory)).slice(HISTORY_MAX)) {
      this.#ports.state.remove(`${directory}/${name}`);
    }
    this.#ports.log(`configuration revision ${revision} applied by "${application.subject}"`);
  }

  /** The value that this boot began with, so the one that PID 1 acted upon; undefined when it was the default. */
  get bootConfig(): NodeConfig | undefined {
    const boot = this.#read(BOOT_CONFIG_PATH);
    return boot instanceof KeelError ? undefined : boot?.config;
  }

  async #waitsForReboot(config: NodeConfig | undefined): Promise<boolean> {
    const boot = this.#read(BOOT_CONFIG_PATH);
    if (boot instanceof KeelError) return false;
    const { diffNodeConfig, DEFAULT_NODE_CONFIG } = await schema();
    const booted = boot?.config ?? DEFAULT_NODE_CONFIG;
    const changes = diffNodeConfig(booted, config ?? DEFAULT_NODE_CONFIG);
    return changes.some(({ effect }) => effect === 'reboot');
  }

  #read(path: string): StoredConfig | undefined | KeelError {
    try {
      const bytes = this.#ports.state.read(path);
      if (bytes === undefined) return undefined;
      const payload = decodeRecord(STORED_CONFIG, bytes);
      if (isStoredConfig(payload)) return { ...payload, config: completedConfig(payload.config) };
      if (path === BOOT_CONFIG_PATH) return undefined;
      return new KeelError('E_RECORD_DAMAGED', `Cannot read ${path}: unexpected content`);
    } catch (cause) {
      if (cause instanceof KeelError) return cause;
      throw cause;
    }
  }
}

/** The schema brings a YAML parser with it; only calls that need it pay for that. */
function schema(): Promise<typeof import('@keelos/proto/node-config.ts')> {
  return import('@keelos/proto/node-config.ts');
}

function invalid(problems: readonly ConfigProblem[]): KeelError {
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX);
  const [first] = shown;
  const place =
    first === undefined ? '' : ` line ${first.line}, column ${first.column}: ${first.message}`;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const details = shown.map((problem, index): [string, string] => [
    `problem_${index + 1}`,
    `${problem.line}:${problem.column} ${problem.path}: ${problem.message}; expected ${problem.expected}`.slice(
      0,
      500,
    ),
  ]);
  return new KeelError('E_CONFIG_INVALID', `Cannot use the configuration:${place}${more}`, {
    details: Object.fromEntries(details),
  });
}
