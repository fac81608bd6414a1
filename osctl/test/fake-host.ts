/** A machine for tests: memory instead of a terminal, a clock that moves only when somebody sleeps, a private folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOsctl } from '../src/main.ts';
import { openBundleFile } from '../src/sys/bundle-file.ts';
import type { Clock } from '../src/sys/clock.ts';
import { type ContextStore, contextStore } from '../src/sys/context-store.ts';
import type { Host } from '../src/sys/host.ts';
import { processTerminal } from '../src/sys/terminal.ts';

/** What one command line did. */
export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** A machine with what the tests turn and read. */
export interface FakeHost {
  readonly folder: string;
  readonly store: ContextStore;
  /** Added to the real time by now(). */
  offsetMs: number;
  /** Text of stdin. */
  stdin: string;
  /** Called whenever a command sleeps, after the clock has moved. */
  onSleep: (ms: number) => void | Promise<void>;
  readonly slept: number[];
  /** Whether stderr is a terminal. */
  isErrShown: boolean;
  /** Called with everything that goes to stdout. */
  onOut: (text: string) => void;
  run(args: readonly string[], signal?: AbortSignal): Promise<Ran>;
  close(): Promise<void>;
}

/** A new machine with an empty folder. */
export async function createFakeHost(): Promise<FakeHost> {
  const folder = await mkdtemp(join(tmpdir(), 'osctl-test-'));
  const store = contextStore(join(folder, 'config', 'osctl.yaml'));
  const slept: number[] = [];
  const clock: Clock = {
    now: () => Date.now() + fake.offsetMs,
    monotonicMs: () => performance.now() + slept.reduce((sum, ms) => sum + ms, 0),
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      slept.push(ms);
      await fake.onSleep(ms);
    },
  };
  const fake: FakeHost = {
    folder,
    store,
    offsetMs: 0,
    stdin: '',
    onSleep: () => undefined,
    slept,
    isErrShown: false,
    onOut: () => undefined,
    run: async (args, signal = new AbortController().signal) => {
      let out = '';
      let err = '';
      const host: Host = {
        clock,
        contexts: (path) => (path === undefined ? store : contextStore(path)),
        whoami: () => 'tester@bench',
        openBundle: openBundleFile,
        terminal: {
          out: async (text) => {
            out += text;
            fake.onOut(text);
          },
          err: (text) => {
            err += text;
          },
          isErrShown: fake.isErrShown,
          readInput: async (path, options) =>
            path === '-' ? fake.stdin : await processTerminal.readInput(path, options),
        },
      };
      const exitCode = await runOsctl(args, { host, signal });
      return { exitCode, out, err };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
  return fake;
}
