/** osctl status */

import { durationMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import {
  type GetStatusResponse,
  GetStatusResponseSchema,
  SlotSchema,
  SystemService,
} from '@keelos/proto/gen/keel/v1/system_pb.js';
import { clockSkewWarning } from '../core/certificate.ts';
import { formatDuration } from '../core/duration.ts';
import { enumName, toPlain } from '../core/plain.ts';
import { formatTime } from '../core/quantity.ts';
import { factLines } from '../core/render.ts';
import { type Command, warn, withNode } from '../shell/invocation.ts';

type Facts = (readonly [string, string | readonly string[]])[];

function facts(status: GetStatusResponse): Facts {
  const { memory, clock, serverCertificate: certificate, uptime } = status;
  const now = clock?.now === undefined ? undefined : timestampDate(clock.now);
  const end = certificate?.notAfter === undefined ? undefined : timestampDate(certificate.notAfter);
  return [
    ['hostname', status.hostname],
    ['machine id', status.machineId],
    ['version', status.version],
    ['slot', enumName(SlotSchema, status.slot)],
    ['root hash', status.rootHash],
    ['boot id', status.bootId],
    ['uptime', uptime === undefined ? '' : formatDuration(durationMs(uptime))],
    [
      'memory',
      memory === undefined
        ? ''
        : `${formatBytes(memory.availableBytes)} available of ${formatBytes(memory.totalBytes)}`,
    ],
    [
      'disk',
      status.filesystems.map((one) => {
        const room = `${formatBytes(one.availableBytes)} free of ${formatBytes(one.sizeBytes)}`;
        return `${one.mountPoint} (${one.type} on ${one.source}): ${room}${one.readOnly ? ', read-only' : ''}`;
      }),
    ],
    [
      'addresses',
      status.addresses.map(
        ({ interface: name, address, origin }) => `${name} ${address} (${origin})`,
      ),
    ],
    [
      'clock',
      `${formatTime(now)} (${clock?.source ?? 'unknown'}${clock?.trusted === true ? '' : ', not trusted'})`,
    ],
    ['certificate', [certificate?.fingerprintSha256 ?? '', `expires ${formatTime(end)}`]],
    ['operators', status.enrolled ? 'enrolled' : 'none enrolled'],
  ];
}

/** The command. */
export const statusCommand: Command = {
  name: 'status',
  summary:
    'Show one picture of the node: release, slot, memory, disk, addresses, clock, certificate',
  description: "Warns when the node's clock and this machine's disagree by more than two minutes.",
  examples: [
    { command: 'osctl status', does: 'The picture' },
    { command: 'osctl status -o json | jq .uptimeSeconds', does: 'One value' },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const status = await client.call(SystemService.method.getStatus, {});
      const now = status.clock?.now;
      const skew =
        now === undefined
          ? undefined
          : clockSkewWarning(timestampDate(now), invocation.host.clock.now());
      if (skew !== undefined) warn(invocation, skew);
      const data = toPlain(GetStatusResponseSchema, status);
      return { view: { data, lines: factLines(facts(status)) } };
    }),
};
