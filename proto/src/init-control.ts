/**
 * What the agent and PID 1 say to each other over {@link NODE_PATHS.initSocket}, a stream socket in the file system with mode 0600.
 *
 * One connection carries one request. The client sends one line of JSON ({@link InitRequest}); PID 1 answers with one
 * line, or for `readLog` with many, each an {@link InitReply}; then PID 1 closes. A line is at most {@link LINE_BYTES_MAX} bytes.
 *
 * PID 1 starts its services before it has mounted /var, so that they load meanwhile. The socket is the sign that /var,
 * the clock and the node's identity are as they stay, and that the boot report has been written: a service touches none
 * of them before the socket exists.
 *
 * Who judges a trial, or reads the firmware's variables for it, waits for {@link EVIDENCE_STEP} in the boot report as well.
 */

/** Longest line of the protocol, in bytes, without its end. */
export const LINE_BYTES_MAX = 65_536;
/** Longest captured log line, in bytes; a longer one is cut into pieces. */
export const LOG_LINE_BYTES_MAX = 16_384;

/**
 * Step of the boot report: the firmware's variables are mounted, and what the boot before left of a trial lies on the
 * state partition.
 */
export const EVIDENCE_STEP = 'evidence-kept';

/** The supervised service that answers the API. */
export const AGENT_NAME = 'agent';

/** State of a supervised service. */
export type ServiceState = 'waiting' | 'running' | 'backoff' | 'stopping' | 'stopped';

/** One supervised service as PID 1 sees it. */
export interface ServiceStatus {
  readonly name: string;
  readonly state: ServiceState;
  /** 0 when no process runs. */
  readonly pid: number;
  /** Unix time in milliseconds. */
  readonly sinceMs: number;
  readonly restarts: number;
  /** "exit 1", "signal SIGKILL", or empty. */
  readonly lastExit: string;
  /** Control group directory below /sys/fs/cgroup, for example "/keel/agent". */
  readonly cgroup: string;
}

/** One captured line. */
export interface LogLine {
  readonly timeMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly line: string;
}

/** Requests. */
export type InitRequest =
  | { readonly op: 'listServices' }
  | { readonly op: 'reboot' | 'powerOff'; readonly reason: string }
  /** Answered first and done a moment later, so that the agent can pass the answer on before it is ended itself. */
  | { readonly op: 'restartService'; readonly service: string; readonly kill: boolean }
  /** A service is alive. One that has to say so and does not is killed, and started anew. */
  | { readonly op: 'keepAlive'; readonly service: string }
  | {
      readonly op: 'readLog';
      readonly service: string;
      /** Absent: all that is kept in memory. */
      readonly tailLines?: number;
      readonly follow: boolean;
    }
  /** The agent learned a trusted lower bound of the time; PID 1 sets its clock forward, never back, and remembers it. */
  | { readonly op: 'raiseClock'; readonly timeMs: number; readonly source: 'operator' | 'ntp' }
  /** Host name from a newly applied configuration. */
  | { readonly op: 'setHostname'; readonly hostname: string }
  /** A moment of the boot that only the agent knows, for the boot report. */
  | { readonly op: 'markBoot'; readonly step: string }
  /**
   * The agent has judged the trial of this boot. "committed": PID 1 drops its deadline. "given-up": PID 1 keeps the
   * reason with the last lines of the console, and restarts the machine itself if nobody asks for it soon.
   */
  | {
      readonly op: 'settleTrial';
      readonly outcome: 'committed' | 'given-up';
      readonly reason?: string;
    };

/** Answers. Exactly one `ok`, `services` or `error` ends an exchange; `log` lines come before `ok`. */
export type InitReply =
  | { readonly type: 'ok' }
  | { readonly type: 'services'; readonly services: readonly ServiceStatus[] }
  | { readonly type: 'log'; readonly line: LogLine }
  | { readonly type: 'error'; readonly code: string; readonly message: string };

/** What restarts the machine when PID 1 hangs. */
export type WatchdogKind = 'hardware' | 'software' | 'none';

/** What PID 1 learned during boot: {@link NODE_PATHS.bootReport}. */
export interface BootReport {
  readonly version: 1;
  /** Boot steps with CLOCK_BOOTTIME in microseconds, in the order reached. */
  readonly steps: readonly { readonly name: string; readonly monotonicUs: number }[];
  /** How the state partition was mounted. */
  readonly state: {
    /** "disk": as it should be. "backup-superblock": the superblock was damaged, and restored from its copy. "read-only". "memory": nothing on disk could be mounted. */
    readonly mode: 'disk' | 'backup-superblock' | 'read-only' | 'memory';
    /** Device, for example "/dev/vda5"; empty in mode "memory". */
    readonly device: string;
    /** Why it is not "disk"; else empty. */
    readonly problem: string;
  };
  readonly clock: {
    readonly source: 'rtc' | 'floor' | 'ntp' | 'operator';
    readonly trusted: boolean;
    /** What the real-time clock said, Unix milliseconds. */
    readonly rtcMs: number;
    readonly problem: string;
  };
  readonly network: {
    readonly mode: 'static' | 'dhcp' | 'none';
    readonly problem: string;
  };
  /** Whether the start of the root, read from its partition past dm-verity, leads to the root hash on the command line. */
  readonly image: {
    /** "unchecked": not yet in this boot. "unknown": it could not be checked. */
    readonly state: 'unchecked' | 'verified' | 'damaged' | 'unknown';
    /** Partition, for example "/dev/vda2"; empty when it is not known. */
    readonly device: string;
    /** Why it is not "verified"; else empty. */
    readonly problem: string;
  };
  /** Problem with the stored node configuration (damaged record, invalid document); else empty. */
  readonly configProblem: string;
  /** Steps of the boot plan that failed and were passed over: name and reason. */
  readonly failures: readonly { readonly step: string; readonly reason: string }[];
  /** What PID 1 feeds. A software watchdog hangs together with the kernel. */
  readonly watchdog: WatchdogKind;
}
