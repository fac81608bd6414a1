/**
 * Restarts the machine when the agent, the only way to the node, was never there, or has not been there for long.
 */
import { judgeAgent } from '../core/agent-rescue.ts';
import { type Machine, monotonicMs } from './machine.ts';

/** Looks at the agent until the machine is restarted. */
export function watchAgent(
  machine: Machine,
  agent: {
    /** Monotonic milliseconds of its last word; undefined when it has never given one. */
    lastWordMs(): number | undefined;
    failures(): number;
    restartMachine(reason: string): void;
  },
): void {
  const look = () => {
    const failures = agent.failures();
    const lastWordMs = agent.lastWordMs();
    const verdict = judgeAgent({ sinceBootMs: monotonicMs(machine), failures, lastWordMs });
    if (verdict.action === 'look-again') machine.clock.after(verdict.afterMs, look);
    if (verdict.action === 'restart-machine') {
      const since = lastWordMs === undefined ? 'was never there' : 'has been silent for too long';
      agent.restartMachine(`the agent has failed ${failures} times and ${since}`);
    }
  };
  look();
}
