/**
 * Keeps the boot report while the boot goes on, and writes it where the agent reads it.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import type { Machine } from './machine.ts';

/** Facts of the report that are found out one by one. */
export type BootFacts = Omit<BootReport, 'version' | 'steps' | 'failures'>;

/** The report in the making. */
export interface BootLedger {
  /** Takes a moment. Steps beyond {@link STEPS_MAX} are not kept. */
  mark(step: string): void;
  fail(step: string, reason: string): void;
  set(facts: Partial<BootFacts>): void;
  report(): BootReport;
  /** Writes the report; a failure goes to the kernel log. */
  write(): void;
}

/** Bound of the list of steps: the agent adds to it. */
export const STEPS_MAX = 100;
const FAILURES_MAX = 200;
const REPORT_MODE = 0o600;

/** A report with nothing known. */
export function createBootLedger(machine: Machine): BootLedger {
  const steps: BootReport['steps'][number][] = [];
  const failures: BootReport['failures'][number][] = [];
  let facts: BootFacts = {
    state: { mode: 'memory', device: '', problem: 'not mounted yet' },
    clock: { source: 'rtc', trusted: false, rtcMs: 0, problem: 'not judged yet' },
    network: { mode: 'none', problem: 'not configured yet' },
    image: { state: 'unchecked', device: '', problem: '' },
    configProblem: '',
    watchdog: 'none',
  };
  const ledger: BootLedger = {
    mark(name) {
      if (steps.length < STEPS_MAX) steps.push({ name, monotonicUs: machine.clock.monotonicUs() });
    },
    fail(step, reason) {
      if (failures.length < FAILURES_MAX) failures.push({ step, reason });
      machine.log.error(`${step}: ${reason}`);
    },
    set(more) {
      facts = { ...facts, ...more };
    },
    report: () => ({ version: 1, steps, ...facts, failures }),
    write() {
      try {
        const text = `${JSON.stringify(ledger.report())}\n`;
        machine.files.replace(NODE_PATHS.bootReport, text, { mode: REPORT_MODE, durable: false });
      } catch (error) {
        machine.log.error(`boot report: ${String(error)}`);
      }
    },
  };
  return ledger;
}
