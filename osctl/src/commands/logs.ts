/** osctl logs */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  DiagnosticsService,
  type StreamServiceLogResponse,
  StreamServiceLogResponseSchema,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { toPlain } from '../core/plain.ts';
import { printable, type View } from '../core/render.ts';
import { argument, type Command, countOption, emit, withNode } from '../shell/invocation.ts';

function viewOf(line: StreamServiceLogResponse): View {
  const time = line.time === undefined ? '' : `${timestampDate(line.time).toISOString()} `;
  return {
    data: toPlain(StreamServiceLogResponseSchema, line),
    lines: [`${time}${printable(line.line)}`],
  };
}

/** What this command was asked for is a service; the node's own words do not say where their names are. */
function explained(error: unknown, service: string): unknown {
  if (!(error instanceof KeelError) || error.code !== 'E_NOT_FOUND') return error;
  return new KeelError(
    'E_NOT_FOUND',
    `Cannot show the log of ${service}: there is no service of that name`,
    {
      cause: error,
      details: error.details,
      hint: 'osctl services shows the names of all services.',
    },
  );
}

/** The command. */
export const logsCommand: Command = {
  name: 'logs',
  summary: 'Show what a service wrote, oldest line first',
  description:
    'Without --tail, all that the node keeps in memory. Names of services: osctl services.',
  arguments: [{ name: 'service', description: 'name of the service' }],
  options: [
    { flags: '-f, --follow', description: 'go on with new lines until interrupted' },
    {
      flags: '--tail <lines>',
      description: 'start with at most this many of the newest lines',
      kind: 'count',
    },
  ],
  examples: [
    { command: 'osctl logs agent --tail 20', does: "The agent's last 20 lines" },
    { command: 'osctl logs agent -o json | jq -r .line', does: 'One JSON object a line' },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const follow = invocation.options.follow === true;
      const tailLines = countOption(invocation, 'tail');
      const request = {
        service: argument(invocation, 0),
        follow,
        ...(tailLines === undefined ? {} : { tailLines }),
      };
      const unbounded = follow && invocation.globals.timeoutMs === undefined;
      const lines = client.stream(DiagnosticsService.method.streamServiceLog, request, {
        unbounded,
      });
      try {
        for await (const line of lines) await emit(invocation, viewOf(line));
      } catch (error) {
        throw explained(error, request.service);
      }
      return {};
    }),
};
