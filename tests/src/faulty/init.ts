/**
 * PID 1 that fails on purpose. The kernel hands what it does not know on the command line to the first program as its
 * environment: `KEEL_FAULT=…` there says how.
 */
import { main as realMain } from '@keelos/ts-init/main.ts';

/** The watchdog is armed by then, and the agent loads. */
const FAULT_AFTER_MS = 2_000;

/** What takes the place of the `main` of PID 1. */
export async function main(): Promise<void> {
  const fault = process.env.KEEL_FAULT;
  if (fault === 'init-throws') {
    setTimeout(() => {
      throw new Error('this release throws on purpose');
    }, FAULT_AFTER_MS);
  }
  if (fault === 'init-hangs') {
    setTimeout(() => {
      for (;;);
    }, FAULT_AFTER_MS);
  }
  await realMain();
}
