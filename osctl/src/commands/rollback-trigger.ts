/** osctl rollback trigger */
import { KeelError } from '@keelos/proto/errors.ts';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { REASON_BYTES_MAX } from '@keelos/proto/reason.ts';
import { updateBound } from '../shell/follow-update.ts';
import { type Command, type Invocation, textOption, withNode } from '../shell/invocation.ts';
import { POLICY_OPTIONS, policyOf, RETRY_FAILED_OPTION } from '../shell/trial-policy.ts';
import { waitForVerdict } from '../shell/trial-verdict.ts';
import { outcomeOf } from '../shell/update-result.ts';

/** The value of --reason. */
function reasonOf(invocation: Invocation): string {
  const reason = (textOption(invocation, 'reason') ?? '').trim();
  const sizeBytes = Buffer.byteLength(reason);
  if (sizeBytes >= 1 && sizeBytes <= REASON_BYTES_MAX) return reason;
  throw new KeelError(
    'E_USAGE',
    `Cannot use the reason: it has ${sizeBytes} bytes, expected 1 to ${REASON_BYTES_MAX}`,
    { hint: 'Say in a few words why: the history keeps it.' },
  );
}

/** The command. */
export const rollbackTriggerCommand: Command = {
  name: 'trigger',
  summary: 'Go back to the release in the other slot',
  description:
    'The node verifies the other slot, arms it as a trial, and reboots. With --wait it returns when the node runs that release, healthy and committed, and exits with 37 when it did not prove itself. Gives up after an hour and the time of the trial unless --timeout is given.',
  options: [
    {
      flags: '--reason <text>',
      description: 'reason for the history, at most 256 bytes',
      required: true,
    },
    { flags: '--wait', description: 'follow through the reboot until the release is committed' },
    { flags: '--no-reboot', description: 'arm the release and leave the reboot to you' },
    ...POLICY_OPTIONS,
    RETRY_FAILED_OPTION,
  ],
  examples: [
    {
      command: 'osctl rollback trigger --reason "disk latency since the update" --wait',
      does: 'Go back, and return when it is done',
    },
  ],
  run: async (invocation) => {
    const { options, host } = invocation;
    const isWaiting = options.wait === true;
    const noReboot = options.reboot === false;
    if (isWaiting && noReboot) {
      throw new KeelError('E_USAGE', 'Cannot wait for a reboot that is not made', {
        hint: 'Leave out --wait or --no-reboot. After --no-reboot: osctl reboot --wait.',
      });
    }
    const request = {
      reason: reasonOf(invocation),
      policy: policyOf(invocation),
      noReboot,
      retryFailed: options.retryFailed === true,
    };
    return await withNode(invocation, async (session) => {
      const bound = updateBound(invocation);
      const ending = isWaiting
        ? await session.client.call(SystemService.method.getStatus, {})
        : undefined;
      // The node reads the whole slot before it answers.
      const client = session.reopen(bound.timeoutMs);
      const { id, version, bootId } = await client
        .call(UpdateService.method.triggerRollback, request)
        .finally(() => client.close());
      const verdict =
        ending === undefined
          ? undefined
          : await waitForVerdict(session, invocation, {
              id,
              bound,
              target: { version },
              ending: { ...ending, bootId },
            });
      return outcomeOf({
        ...(verdict === undefined ? {} : { verdict }),
        facts: { id, version, bootId },
        tookMs: host.clock.monotonicMs() - bound.startedMs,
        text: noReboot
          ? `${version} is armed: the next boot tries it (osctl reboot --wait).`
          : `${version} is armed: the node reboots and tries it.`,
      });
    });
  },
};
