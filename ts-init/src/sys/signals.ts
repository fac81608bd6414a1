/**
 * What the kernel and the runtime tell PID 1: signals, and its own bugs.
 */

/** Signals that PID 1 acts upon. */
export interface SignalHandlers {
  /** SIGTERM; or SIGINT, which is ctrl-alt-del. */
  leave(reason: string): void;
  /** A child has died. */
  child(): void;
}

/** Registers the handlers. All other signals are ignored by the kernel for PID 1. */
export function listenSignals(handlers: SignalHandlers): void {
  process.on('SIGTERM', () => handlers.leave('SIGTERM'));
  process.on('SIGINT', () => handlers.leave('ctrl-alt-del'));
  process.on('SIGCHLD', () => handlers.child());
}

/** Calls back with every error that nobody caught. */
export function listenBugs(bug: (error: unknown) => void): void {
  process.on('uncaughtException', bug);
  process.on('unhandledRejection', bug);
}
