// The commands that run for this process. When it is told to end, they end first, with everything that they started:
// what goes on after its starter would write into folders that belong to the next run.

import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

const GRACE_MS = 5_000;
const KILLED_MS = 1_000;
const POLL_MS = 20;
const SIGNALS = /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP']);

/**
 * A command that runs. `ownGroup`: it leads a process group, and its children are in it.
 * @typedef {{ pid: number, ownGroup: boolean }} Running
 */

/** @type {Set<Running>} */
const running = new Set();
let ending = false;

/**
 * Sends a signal to a command and what it started; 0 asks whether any of them is there.
 * @param {Running} command @param {NodeJS.Signals | 0} signal
 * @returns {boolean} false when none is
 */
export function signalCommand({ pid, ownGroup }, signal) {
  try {
    return process.kill(ownGroup ? -pid : pid, signal);
  } catch {
    return false; // ended; or runs as somebody else, who alone can end it
  }
}

function signalAll(/** @type {NodeJS.Signals} */ signal) {
  for (const command of running) signalCommand(command, signal);
}

/** @param {number} timeoutMs true when all have ended in that time */
async function allEnded(timeoutMs) {
  const commands = [...running];
  const deadline = performance.now() + timeoutMs;
  while (commands.some((command) => signalCommand(command, 0))) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** Ends every command that runs: SIGTERM, and SIGKILL five seconds later. From then on no `exec` returns. */
export async function endCommands() {
  ending = true;
  signalAll('SIGTERM');
  if (await allEnded(GRACE_MS)) return;
  signalAll('SIGKILL');
  await allEnded(KILLED_MS);
}

/** True when this process only waits for its commands before it ends: their failure is no news. */
export function isEnding() {
  return ending;
}

/** @param {NodeJS.Signals} signal */
async function onSignal(signal) {
  if (ending) return;
  if (process.listenerCount(signal) > 1) {
    signalAll('SIGTERM'); // somebody else here knows how this program ends
    return;
  }
  await endCommands();
  process.exit(128 + constants.signals[signal]);
}

function onExit() {
  signalAll('SIGTERM');
}

/**
 * Ends a command with this process, until the returned function is called.
 * @param {Running} command
 * @returns {() => void}
 */
export function endWithUs(command) {
  if (running.size === 0) {
    for (const signal of SIGNALS) process.on(signal, onSignal);
    process.on('exit', onExit);
  }
  running.add(command);
  return () => {
    running.delete(command);
    if (running.size > 0 || ending) return;
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    process.removeListener('exit', onExit);
  };
}
