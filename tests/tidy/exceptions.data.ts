/** What is allowed although a rule forbids it, each with the reason. One that is no longer needed fails the test. */
import type { Exception } from './layers.ts';
import type { TextException } from './limits.ts';

const ENTRY_REASON = 'the programs of the image are put together here';
const THREAD_REASON = 'worker threads are what it is for';
const LISTENER_REASON =
  'the handshake and the bound on connections are one thing with its sockets; its tests use real ones';

/** Modules that may import what their layer may not. */
export const LAYER_EXCEPTIONS: readonly Exception[] = [
  { path: 'image/src/entry/init.ts', imports: '@keelos/ts-init/main.ts', reason: ENTRY_REASON },
  { path: 'image/src/entry/agent.ts', imports: '@keelos/ts-agent/main.ts', reason: ENTRY_REASON },
  {
    path: 'image/src/entry/verifier.ts',
    imports: '@keelos/ts-agent/verifier.ts',
    reason: ENTRY_REASON,
  },
  {
    path: 'as-core/src/load.ts',
    imports: 'node:fs/promises',
    reason: 'the one place that finds compiled modules; the wrappers take them as arguments',
  },
  { path: 'as-core/src/load.ts', imports: 'node:worker_threads', reason: THREAD_REASON },
  { path: 'as-core/src/worker.ts', imports: 'node:worker_threads', reason: THREAD_REASON },
  { path: 'as-core/src/workers.ts', imports: 'node:worker_threads', reason: THREAD_REASON },
  {
    path: 'as-core/src/openssl-block-hasher.ts',
    imports: 'node:fs',
    reason: 'reads blocks between their salts, and asks Linux what the processor can do',
  },
  {
    path: 'as-core/src/verity-hasher.ts',
    imports: 'node:fs',
    reason: 'reads straight into the memory of its module; a copy between would cost',
  },
  {
    path: 'as-core/src/verify-squashfs-job.ts',
    imports: 'node:fs',
    reason: 'looks at a superblock that the reader refuses, to say where damage is',
  },
  {
    path: 'as-core/src/squashfs-instance.ts',
    imports: 'node:fs',
    reason: 'reads straight into the memory of its module; a copy between would cost',
  },
  {
    path: 'as-core/src/load.ts',
    imports: '@bokuweb/zstd-wasm',
    reason: 'the module of libzstd lies in that package, and is only found through it',
  },
  { path: 'ts-agent/src/shell/listener.ts', imports: 'node:net', reason: LISTENER_REASON },
  { path: 'ts-agent/src/shell/listener.ts', imports: 'node:tls', reason: LISTENER_REASON },
];

/** Files over the limit of lines: path to reason. */
export const LONG_FILES: Readonly<Record<string, string>> = {};

/** Texts that are forbidden elsewhere. */
export const TEXT_EXCEPTIONS: readonly TextException[] = [
  {
    path: 'scripts/test/mocha-reporter.test.ts',
    text: 'it.skip(',
    reason: 'text of a small test that the reporter is tried on',
  },
];
