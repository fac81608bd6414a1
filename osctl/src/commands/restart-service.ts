/** osctl restart-service */
import {
  LifecycleService,
  RestartServiceResponseSchema,
} from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { toPlain } from '../core/plain.ts';
import { argument, type Command, withNode } from '../shell/invocation.ts';

/** The command. */
export const restartServiceCommand: Command = {
  name: 'restart-service',
  summary: 'End one service; PID 1 starts it again',
  description:
    'The service is asked to end, and killed when it does not. With --kill it is killed at once: PID 1 counts that as a crash and waits for the back-off before it starts the service again.',
  arguments: [{ name: 'service', description: 'name of the service, see osctl services' }],
  options: [{ flags: '--kill', description: 'kill every process of the service at once' }],
  examples: [
    { command: 'osctl restart-service agent', does: 'A new agent; the node stays up' },
    { command: 'osctl restart-service agent --kill', does: 'The same for an agent that hangs' },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const service = argument(invocation, 0);
      const kill = invocation.options.kill === true;
      const answer = await client.call(LifecycleService.method.restartService, { service, kill });
      return {
        view: {
          data: toPlain(RestartServiceResponseSchema, answer),
          lines: [`Service ${service} (pid ${answer.pid}) is being restarted.`],
        },
      };
    }),
};
