/**
 * Reads the boot report with care: the agent goes on when PID 1 wrote none.
 */
import type { BootReport } from '@keelos/proto/init-control.ts';

/** What is assumed when there is no report. */
export const UNKNOWN_BOOT: BootReport = {
  version: 1,
  steps: [],
  state: { mode: 'disk', device: '', problem: '' },
  clock: { source: 'rtc', trusted: false, rtcMs: 0, problem: 'there is no boot report' },
  network: { mode: 'none', problem: '' },
  image: { state: 'unchecked', device: '', problem: '' },
  configProblem: '',
  failures: [{ step: 'boot-report', reason: 'boot report missing' }],
  watchdog: 'none',
};

/** The report in `text`; {@link UNKNOWN_BOOT} fills what is missing. */
export function parseBootReport(text: string | undefined): BootReport {
  if (text === undefined) return UNKNOWN_BOOT;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return UNKNOWN_BOOT;
    const report = value as Partial<BootReport>;
    return {
      ...UNKNOWN_BOOT,
      failures: [],
      ...report,
      state: { ...UNKNOWN_BOOT.state, ...report.state },
      clock: { ...UNKNOWN_BOOT.clock, ...report.clock },
      network: { ...UNKNOWN_BOOT.network, ...report.network },
      image: { ...UNKNOWN_BOOT.image, ...report.image },
    };
  } catch {
    // A report that is cut short is as good as none: the checks say that nothing is known.
    return UNKNOWN_BOOT;
  }
}
