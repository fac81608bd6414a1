/**
 * How the node goes down, as data. Each step has a bound; when it is reached the next step begins.
 */

/** What can be asked for. */
export type ShutdownKind = 'reboot' | 'powerOff';

/** The steps' names; the shell has one function for each. */
export type ShutdownAction =
  | 'stop-services'
  | 'keep-trial-traces'
  | 'save-clock-floor'
  | 'save-random-seed'
  | 'close-logs'
  | 'sync'
  | 'unmount-container-store'
  | 'unmount-state'
  | 'last-sync'
  | 'leave';

/** One step. */
export interface ShutdownStep {
  readonly action: ShutdownAction;
  readonly boundMs: number;
}

/** Room for signals to be noticed and processes to be collected, beside the services' own grace. */
const STOP_SLACK_MS = 4_000;

/** Two writes on the state partition, one on the EFI system partition, each with a bound of its own. */
const TRACES_MS = 14_000;

/**
 * The plan, in order.
 *
 * @param stopGraceMs sum of the services' stop grace: they may depend on each other and then stop one after another.
 */
export function shutdownPlan(stopGraceMs: number): readonly ShutdownStep[] {
  return [
    { action: 'stop-services', boundMs: stopGraceMs + STOP_SLACK_MS },
    { action: 'keep-trial-traces', boundMs: TRACES_MS },
    { action: 'save-clock-floor', boundMs: 2_000 },
    { action: 'save-random-seed', boundMs: 2_000 },
    { action: 'close-logs', boundMs: 2_000 },
    { action: 'sync', boundMs: 15_000 },
    { action: 'unmount-container-store', boundMs: 3_000 },
    { action: 'unmount-state', boundMs: 10_000 },
    { action: 'last-sync', boundMs: 5_000 },
    { action: 'leave', boundMs: 5_000 },
  ];
}

/** After this long from the first step the machine is reset without further ceremony. */
export function lastResortMs(plan: readonly ShutdownStep[]): number {
  return plan.reduce((sum, step) => sum + step.boundMs, 0);
}
