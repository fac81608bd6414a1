/** What every service works with: the running agent's parts. */
import type { Limits } from './core/limits.data.ts';
import type { AgentPorts } from './ports.ts';
import type { BootLadder } from './shell/boot-ladder.ts';
import type { BootState } from './shell/boot-state.ts';
import type { HealthRunner } from './shell/health.ts';
import type { Listener } from './shell/listener.ts';
import type { NodeChannel } from './shell/node-channel.ts';
import type { NodeConfigStore } from './shell/node-config-store.ts';
import type { OutsideChecks } from './shell/outside-checks.ts';
import type { Scheduler } from './shell/scheduler.ts';
import type { ServerIdentity } from './shell/server-identity.ts';
import type { TimeSync } from './shell/time-sync.ts';
import type { Trust } from './shell/trust.ts';
import type { UpdateEngine } from './shell/update-engine.ts';

/** The parts of one agent. */
export interface Node {
  readonly ports: AgentPorts;
  readonly limits: Limits;
  readonly identity: ServerIdentity;
  readonly listener: Listener;
  readonly trust: Trust;
  readonly configuration: NodeConfigStore;
  readonly health: HealthRunner;
  readonly timeSync: TimeSync;
  readonly outside: OutsideChecks;
  readonly bootState: BootState;
  readonly bootLadder: BootLadder;
  readonly engine: UpdateEngine;
  readonly scheduler: Scheduler;
  readonly channel: NodeChannel;
}
