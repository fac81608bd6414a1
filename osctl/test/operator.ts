/** An operator's machine together with the one node that its current context points at. */
import { makeClientIdentity } from '../src/sys/client-certificate.ts';
import { createFakeHost, type FakeHost } from './fake-host.ts';
import { type FakeNode, type Handler, startFakeNode } from './fake-node.ts';
import type { ServerIdentity } from './server-certificate.ts';

const DAY_MS = 86_400_000;

/** Answer of a node that is well. */
export const HEALTHY = { healthy: true, checks: [{ name: 'agent', state: 1, message: 'ok' }] };
/** Answer of a node that is not. */
export const FAILING = {
  healthy: false,
  checks: [
    { name: 'agent', state: 1, message: 'ok' },
    { name: 'state-partition', state: 3, message: 'read-only', remedy: 'Replace the disk.' },
  ],
};

/** What {@link Operator.given} may be told. */
export interface GivenOptions {
  readonly port?: number;
  readonly validityMs?: number;
  /** How long ago the client certificate was made, in milliseconds. */
  readonly ageMs?: number;
}

/** Machine and node, set up and taken down by the test. */
export interface Operator {
  readonly host: FakeHost;
  /** Starts a node with these handlers, and makes a context for it. */
  given(handlers: Record<string, Handler>, options?: GivenOptions): Promise<FakeNode>;
  /** Starts a node in the place of one that was stopped; the context stays. */
  restart(
    handlers: Record<string, Handler>,
    options: { readonly port: number; readonly identity: ServerIdentity | undefined },
  ): Promise<void>;
  /** Stops the node. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** A new machine without a node. */
export async function createOperator(): Promise<Operator> {
  const host = await createFakeHost();
  let node: FakeNode | undefined;
  const stop = async () => {
    await node?.close();
    node = undefined;
  };
  return {
    host,
    given: async (handlers, { port = 0, validityMs = DAY_MS, ageMs = 0 } = {}) => {
      node = await startFakeNode(handlers, { port });
      const now = Date.now() - ageMs;
      const { certificate, key } = await makeClientIdentity({
        commonName: 'tester',
        now,
        validityMs,
      });
      const { endpoint, certificate: serverCertificate } = node;
      const context = { endpoint, serverCertificate, certificate, key };
      await host.store.save({ currentContext: 'one', contexts: { one: context } });
      return node;
    },
    restart: async (handlers, options) => {
      node = await startFakeNode(handlers, options);
    },
    stop,
    close: async () => {
      await stop();
      await host.close();
    },
  };
}

/** For a `describe`: before each of its tests a new machine without a node, which is taken down after it. */
export function operatorOfEachTest(): Omit<Operator, 'close'> {
  let operator: Operator | undefined;
  const current = (): Operator => {
    if (operator === undefined) throw new Error('no test runs');
    return operator;
  };
  beforeEach(async () => {
    operator = await createOperator();
  });
  afterEach(async () => {
    await operator?.close();
    operator = undefined;
  });
  return {
    get host() {
      return current().host;
    },
    given: (...args) => current().given(...args),
    restart: (...args) => current().restart(...args),
    stop: () => current().stop(),
  };
}
