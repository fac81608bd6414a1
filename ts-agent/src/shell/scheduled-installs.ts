/** How the scheduler asks the update engine. */
import { scheduleSubject } from '../core/schedule-record.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import type { ScheduledInstalls } from './scheduler.ts';
import type { UpdateEngine } from './update-engine.ts';

/** Installs in the name of schedules; `sourceAt` fetches as the node's configuration says. */
export function scheduledInstalls(
  engine: Pick<UpdateEngine, 'start' | 'history'>,
  sourceAt: (url: string) => UpdateSource,
): ScheduledInstalls {
  return {
    async start({ id, url, sha256, policy }) {
      const options = {
        ...{ sha256, policy, isDryRun: false, isRebootLeft: false },
        // Nobody is there to ask for it.
        retryFailed: false,
      };
      await engine.start(sourceAt(url), options, scheduleSubject(id));
    },
    history: () => engine.history.entries(),
  };
}
