/** ConfigService: the node's configuration is read and replaced. */
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { ChangeEffect } from '@keelos/proto/gen/keel/v1/config_pb.js';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import type { ApplicationResult } from '../shell/node-config-store.ts';
import { machineId } from '../shell/node-facts.ts';
import { outsideSettings } from '../shell/outside-checks.ts';

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
      const isInForce = request.dryRun || (await putInForce(node, result));
      return {
        revision: BigInt(result.revision),
        rebootRequired: result.isRebootRequired || !isInForce,
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

/**
 * Does at once what can be done at once. The document is stored by now, so what PID 1 does not take is no error: it is
 * in force after a reboot. False when something waits for that.
 */
async function putInForce(node: Node, { changes }: ApplicationResult): Promise<boolean> {
  const { configuration, timeSync, outside } = node;
  if (changes.some(({ path }) => path.startsWith('time.'))) {
    timeSync.restart(configuration.config?.time.servers ?? []);
  }
  if (changes.some(({ path }) => path.startsWith('probes[') || path.startsWith('health.'))) {
    outside.restart(outsideSettings(configuration));
  }
  if (!changes.some(({ path }) => path === 'hostname')) return true;
  const problem = await setHostname(node);
  configuration.isHostnameWaiting = problem !== '';
  if (problem !== '') node.ports.log(`host name not set before the next boot: ${problem}`);
  return problem === '';
}

/** Empty, or why PID 1 did not set the configured host name. */
async function setHostname({ ports, configuration }: Node): Promise<string> {
  const id = await machineId(ports.files);
  const hostname = configuration.config?.hostname ?? `keel-${id.slice(0, DEFAULT_NAME_DIGITS)}`;
  try {
    const reply = await ports.init.request({ op: 'setHostname', hostname });
    return reply.type === 'error' ? `${reply.code} ${reply.message}` : '';
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    return cause.message;
  }
}
