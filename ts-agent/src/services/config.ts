/** ConfigService: the node's configuration is read and replaced. */
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { ChangeEffect } from '@keelos/proto/gen/keel/v1/config_pb.js';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import type { ApplicationResult } from '../shell/node-config-store.ts';
import { machineId } from '../shell/node-facts.ts';

const EFFECTS = { immediate: ChangeEffect.IMMEDIATE, reboot: ChangeEffect.REBOOT } as const;
/** Digits of the machine id in a default host name; PID 1 makes the same name at boot. */
const DEFAULT_NAME_DIGITS = 8;

/** Methods over `node`. */
export function configMethods(node: Node): ServiceMethods<typeof ConfigService> {
  const { configuration } = node;
  return {
    async getConfig() {
      return {
        yaml: await configuration.yaml(),
        revision: BigInt(configuration.revision),
        rebootRequired: await configuration.isRebootRequired(),
        history: configuration.history().map((stored) => ({
          revision: BigInt(stored.revision),
          time: timestampFromMs(stored.timeMs),
          subject: stored.subject,
          fingerprintSha256: stored.fingerprint,
          yaml: stored.yaml,
        })),
      };
    },
    async applyConfig(request, { caller }) {
      if (caller.kind !== 'operator') {
        throw new KeelError('E_NOT_ENROLLED', 'Cannot apply the configuration: nobody is enrolled');
      }
      const result = await configuration.apply({
        yaml: request.yaml,
        isDryRun: request.dryRun,
        expectedRevision:
          request.expectedRevision === undefined ? undefined : Number(request.expectedRevision),
        subject: caller.subject,
        fingerprint: caller.fingerprint,
      });
      if (!request.dryRun) await putInForce(node, result);
      return {
        revision: BigInt(result.revision),
        rebootRequired: result.isRebootRequired,
        changes: result.changes.map(({ path, oldJson, newJson, effect }) => ({
          path,
          oldJson,
          newJson,
          effect: EFFECTS[effect],
        })),
      };
    },
  };
}

/** Does at once what can be done at once. The document is stored by now: what fails here is in force after a reboot. */
async function putInForce(node: Node, { changes }: ApplicationResult): Promise<void> {
  const { ports, configuration, timeSync } = node;
  const { config } = configuration;
  if (changes.some(({ path }) => path === 'hostname')) {
    const id = await machineId(ports.files);
    const hostname = config?.hostname ?? `keel-${id.slice(0, DEFAULT_NAME_DIGITS)}`;
    const reply = await ports.init.request({ op: 'setHostname', hostname });
    if (reply.type === 'error') ports.log(`host name not set: ${reply.code} ${reply.message}`);
  }
  if (changes.some(({ path }) => path.startsWith('time.'))) {
    timeSync.restart(config?.time.servers ?? []);
  }
}
