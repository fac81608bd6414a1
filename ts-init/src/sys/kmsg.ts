/**
 * The kernel log and the console.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { cutBytes } from '../core/line-splitter.ts';

/** Where PID 1 speaks. No method throws or blocks for long. */
export interface KernelLog {
  /** A line for the kernel log only. */
  debug(text: string): void;
  /** A line for the kernel log and the console: what a person in front of the machine wants to see. */
  info(text: string): void;
  /** A problem; the kernel itself puts it on the console. */
  error(text: string): void;
}

const PREFIX = 'keel-init: ';
/** Kernel levels, see syslog(3): 7 stays off the console, 3 is shown there. */
const LEVEL_DEBUG = 7;
const LEVEL_ERROR = 3;
/** A record of /dev/kmsg has at most 1024 bytes with its prefix. */
const RECORD_BYTES_MAX = 900;
const LINES_MAX = 40;

/** The kernel log and the console of the running system; one that cannot be opened is done without. */
export function createKernelLog(): KernelLog {
  let kmsg: number | undefined;
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const toKernel = (level: number, text: string) => {
    // Opened when first needed, and looked for again while /dev may not be there yet.
    kmsg ??= openQuietly(NODE_PATHS.kmsg);
    for (const line of text.split('\n').slice(0, LINES_MAX)) {
      writeQuietly(kmsg, kernelRecord(level, line));
    }
  };
  return {
    debug: (text) => toKernel(LEVEL_DEBUG, text),
    info(text) {
      toKernel(LEVEL_DEBUG, text);
      const terminal = openQuietly(NODE_PATHS.console, flags);
      writeQuietly(terminal, `${PREFIX}${text}\r\n`);
      if (terminal !== undefined) closeSync(terminal);
    },
    error: (text) => toKernel(LEVEL_ERROR, text),
  };
}

/** A line as /dev/kmsg takes it: what is longer the kernel would refuse as a whole. */
export function kernelRecord(level: number, line: string): string {
  return `<${level}>${PREFIX}${cutBytes(line, RECORD_BYTES_MAX)}\n`;
}

function openQuietly(path: string, flags: number = constants.O_WRONLY): number | undefined {
  try {
    return openSync(path, flags);
  } catch {
    // Nobody can be told: this is the place that tells.
    return undefined;
  }
}

function writeQuietly(descriptor: number | undefined, text: string): void {
  if (descriptor === undefined) return;
  try {
    writeSync(descriptor, text);
  } catch {
    // A console that does not take more, or a kernel log that limits its rate: losing the line is better than waiting.
  }
}
