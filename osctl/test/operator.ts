/** An operator's machine together with the one node that its current context points at. */
import { makeClientIdentity } from '../src/sys/client-certificate.ts';
import { createFakeHost, type FakeHost } from './fake-host.ts';
import { type FakeNode, type Handler, startFakeNode } from './fake-node.ts';
import type { ServerIdentity } from './server-certificate.ts';

const DAY_MS = 86_400_000;

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
