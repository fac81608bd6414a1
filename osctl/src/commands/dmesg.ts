/** osctl dmesg */
import {
  DiagnosticsService,
  type StreamKernelLogResponse,
  StreamKernelLogResponseSchema,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { toPlain } from '../core/plain.ts';
import { printable, type View } from '../core/render.ts';
import { type Command, countOption, emit, withNode } from '../shell/invocation.ts';

const MICROSECONDS = 1_000_000;
const TIME_WIDTH = 12;

function viewOf(record: StreamKernelLogResponse): View {
  const seconds = (Number(record.monotonicUs) / MICROSECONDS).toFixed(6).padStart(TIME_WIDTH);
  return {
    data: toPlain(StreamKernelLogResponseSchema, record),
    lines: [`[${seconds}] ${printable(record.message)}`],
  };
}

/** The command. */
export const dmesgCommand: Command = {
  name: 'dmesg',
  summary: "Show the kernel's log, oldest line first",
  options: [
    { flags: '-f, --follow', description: 'go on with new lines until interrupted' },
    {
      flags: '--tail <lines>',
      description: 'start with at most this many of the newest lines',
      kind: 'count',
    },
  ],
  examples: [
    { command: 'osctl dmesg --tail 20', does: 'The last 20 lines' },
    {
      command: "osctl dmesg -o json | jq -r 'select(.priority <= 4).message'",
      does: 'Warnings and worse',
    },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const follow = invocation.options.follow === true;
      const tailLines = countOption(invocation, 'tail');
      const request = { follow, ...(tailLines === undefined ? {} : { tailLines }) };
      const unbounded = follow && invocation.globals.timeoutMs === undefined;
      const records = client.stream(DiagnosticsService.method.streamKernelLog, request, {
        unbounded,
      });
      for await (const record of records) await emit(invocation, viewOf(record));
      return {};
    }),
};
