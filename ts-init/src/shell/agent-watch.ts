/**
 * Restarts the machine when the agent, the only way to the node, fails again and again and was never there.
 */
import { judgeAgent } from '../core/agent-rescue.ts';
import { type Machine, monotonicMs } from './machine.ts';

/** Watches until the agent has answered, or the machine is restarted. */
export function watchAgent(
  machine: Machine,
  agent: {
    readonly answers: Promise<void>;
    failures(): number;
    restartMachine(reason: string): void;
  },
): void {
  let hasAnswered = false;
  agent.answers.then(() => {
    hasAnswered = true;
  });
  const look = () => {
    const failures = agent.failures();
    const verdict = judgeAgent({ sinceBootMs: monotonicMs(machine), failures, hasAnswered });
    if (verdict.action === 'look-again') machine.clock.after(verdict.afterMs, look);
    if (verdict.action === 'restart-machine') {
      agent.restartMachine(`the agent has failed ${failures} times and never answered`);
    }
  };
  look();
}
