/** Everything of this machine that a command touches, in one place; tests bring their own. */
import { hostname, userInfo } from 'node:os';
import { type BundleFile, openBundleFile } from './bundle-file.ts';
import { type Clock, systemClock } from './clock.ts';
import { type ContextStore, contextStore, contextsPath } from './context-store.ts';
import { processTerminal, type Terminal } from './terminal.ts';

/** This machine, as seen by a command. */
export interface Host {
  readonly clock: Clock;
  readonly terminal: Terminal;
  /** The contexts file; `path` is the value of --config. */
  contexts(path: string | undefined): ContextStore;
  /** "user@machine", for the subject of a new certificate. */
  whoami(): string;
  /** Opens a bundle of this machine; the caller closes it. */
  openBundle(path: string): Promise<BundleFile>;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the password file, as in some containers.
    return 'operator';
  }
}

/** The real machine. */
export const systemHost: Host = {
  clock: systemClock,
  terminal: processTerminal,
  contexts: (path) => contextStore(contextsPath(path, process.env)),
  whoami: () => `${userName()}@${hostname()}`,
  openBundle: openBundleFile,
};
