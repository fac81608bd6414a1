/**
 * A kernel's routing tables for tests: answers lists from its facts, writes everything down.
 */
import type { AddressFacts, LinkFacts } from '../core/netlink.ts';
import { SystemCallError } from './native.ts';
import type { Netlink } from './netlink-socket.ts';

/** A fake that shows what was asked. */
export interface FakeNetlink extends Netlink {
  /** The `what` of each request. */
  readonly asked: string[];
  /** Requests (by `what`) that fail, with the code. */
  readonly refused: Map<string, string>;
}

/** Tables with these facts. */
export function createFakeNetlink(facts: {
  readonly links: readonly LinkFacts[];
  readonly addresses: readonly AddressFacts[];
}): FakeNetlink {
  const asked: string[] = [];
  const refused = new Map<string, string>();
  return {
    asked,
    refused,
    ask(what, encode) {
      asked.push(what);
      const code = refused.get(what);
      if (code !== undefined) throw new SystemCallError(what, code);
      encode(asked.length);
      return facts;
    },
    close() {},
  };
}
