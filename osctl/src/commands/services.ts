/** osctl services */

import { timestampDate } from '@bufbuild/protobuf/wkt';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import {
  ListServicesResponseSchema,
  type Service,
  ServiceStateSchema,
  SystemService,
} from '@keelos/proto/gen/keel/v1/system_pb.js';
import { enumName, toPlain } from '../core/plain.ts';
import { formatRelative } from '../core/quantity.ts';
import { type Column, tableLines } from '../core/render.ts';
import { type Command, withNode } from '../shell/invocation.ts';

function columns(now: number): Column<Service>[] {
  return [
    { header: 'service', value: (service) => service.name },
    { header: 'state', value: (service) => enumName(ServiceStateSchema, service.state) },
    { header: 'pid', value: ({ pid }) => (pid === 0 ? '' : String(pid)), align: 'right' },
    { header: 'restarts', value: (service) => String(service.restarts), align: 'right' },
    { header: 'memory', value: (service) => formatBytes(service.memoryBytes), align: 'right' },
    {
      header: 'since',
      value: ({ since }) => (since === undefined ? '' : formatRelative(timestampDate(since), now)),
    },
    { header: 'last exit', value: (service) => service.lastExit },
  ];
}

/** The command. */
export const servicesCommand: Command = {
  name: 'services',
  summary: 'Show the services that PID 1 supervises',
  examples: [
    { command: 'osctl services', does: 'State, restarts and memory of each service' },
    {
      command: "osctl services -o json | jq -r '.services[].name'",
      does: 'Names only',
    },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(SystemService.method.listServices, {});
      const data = toPlain(ListServicesResponseSchema, answer);
      const lines = tableLines(columns(invocation.host.clock.now()), answer.services);
      return { view: { data, lines } };
    }),
};
