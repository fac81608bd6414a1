/** LifecycleService: the running system, or one service of it, ends in order. PID 1 does it; this asks. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { REASON_BYTES_MAX } from '@keelos/proto/reason.ts';
import { subjectOfCaller } from '../core/access.ts';
import type { Node } from '../node.ts';
import type { CallContext, ServiceMethods } from '../shell/calls.ts';
import { bootId } from '../shell/node-facts.ts';
import { replyError } from '../sys/init-client.ts';

/** Methods over `node`. */
export function lifecycleMethods(node: Node): ServiceMethods<typeof LifecycleService> {
  const { ports } = node;
  const end = async (
    op: 'reboot' | 'powerOff',
    reason: string,
    { caller, signal }: CallContext,
  ): Promise<{ bootId: string }> => {
    if (Buffer.byteLength(reason) > REASON_BYTES_MAX) {
      throw new KeelError(
        'E_INVALID_ARGUMENT',
        `Cannot accept the reason: ${Buffer.byteLength(reason)} bytes, at most ${REASON_BYTES_MAX}`,
      );
    }
    const answer = { bootId: await bootId(ports.files) };
    const subject = subjectOfCaller(caller);
    ports.log(`${op} asked for by "${subject}": ${JSON.stringify(reason)}`);
    const reply = await ports.init.request({ op, reason }, signal);
    if (reply.type === 'error') throw replyError(reply);
    return answer;
  };
  return {
    reboot: ({ reason }, context) => end('reboot', reason, context),
    shutdown: ({ reason }, context) => end('powerOff', reason, context),
    async restartService({ service, kill }, { caller, signal }) {
      const subject = subjectOfCaller(caller);
      const listed = await ports.init.request({ op: 'listServices' }, signal);
      if (listed.type === 'error') throw replyError(listed);
      const services = listed.type === 'services' ? listed.services : [];
      const found = services.find(({ name }) => name === service);
      if (found === undefined) {
        throw new KeelError(
          'E_NOT_FOUND',
          `Cannot restart service ${JSON.stringify(service)}: there is ${services.map(({ name }) => name).join(', ')}`,
        );
      }
      ports.log(`restart of ${service} asked for by "${subject}"${kill ? ' (kill)' : ''}`);
      const reply = await ports.init.request({ op: 'restartService', service, kill }, signal);
      if (reply.type === 'error') throw replyError(reply);
      return { pid: found.pid };
    },
  };
}
