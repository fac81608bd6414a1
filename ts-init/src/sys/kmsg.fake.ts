/**
 * A kernel log in memory.
 */
import type { KernelLog } from './kmsg.ts';

/** A log that can be read. */
export interface FakeKernelLog extends KernelLog {
  /** "<level> <text>" for each call. */
  readonly lines: string[];
}

/** An empty log. */
export function createFakeKernelLog(): FakeKernelLog {
  const lines: string[] = [];
  return {
    lines,
    debug: (text) => lines.push(`debug ${text}`),
    info: (text) => lines.push(`info ${text}`),
    error: (text) => lines.push(`error ${text}`),
  };
}
