/** The options that say how a new release proves itself, which update, schedule and rollback share. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { TrialPolicy, TrialPolicySchema } from '@keelos/proto/gen/keel/v1/update_pb.js';
import {
  HEALTH_TIMEOUT_SECONDS,
  MIN_HEALTHY_SECONDS,
  TRIAL_SECONDS_MAX,
} from '@keelos/proto/update-record.ts';
import type { OptionSpec } from '../core/command-spec.ts';
import { countOption, type Invocation, warn } from './invocation.ts';

/** The options. */
export const POLICY_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--enable-auto-rollback',
    description:
      'go back by itself when the health checks do not pass in time; without it the release is committed as soon as its API answers',
  },
  {
    flags: '--health-check-timeout <seconds>',
    description: `the checks must pass within this time from the start of the kernel (default: ${HEALTH_TIMEOUT_SECONDS})`,
    kind: 'count',
  },
  {
    flags: '--min-healthy <seconds>',
    description: `the checks must have passed without a break for this long (default: ${MIN_HEALTHY_SECONDS})`,
    kind: 'count',
  },
];
/** The option that allows a release that has failed before. */
export const RETRY_FAILED_OPTION: OptionSpec = {
  flags: '--retry-failed',
  description: 'try a release again whose trial has failed on this node before',
};

function secondsOption(invocation: Invocation, key: string, name: string): number | undefined {
  const seconds = countOption(invocation, key);
  if (seconds === 0) {
    throw new KeelError('E_USAGE', `Cannot use ${name} 0: it must be at least a second`);
  }
  if (seconds !== undefined && seconds > TRIAL_SECONDS_MAX) {
    const reason = `a trial takes at most ${TRIAL_SECONDS_MAX} s`;
    throw new KeelError('E_USAGE', `Cannot use ${name} ${seconds}: ${reason}`);
  }
  return seconds;
}

/** Seconds that the trial of this command's release may take, from the start of the kernel. @throws KeelError E_USAGE */
export function healthTimeoutSeconds(invocation: Invocation): number {
  const given = secondsOption(invocation, 'healthCheckTimeout', '--health-check-timeout');
  return given ?? HEALTH_TIMEOUT_SECONDS;
}

/**
 * The policy that the options ask for. Warns of an option that has no effect.
 *
 * @throws KeelError E_USAGE
 */
export function policyOf(invocation: Invocation): MessageInitShape<typeof TrialPolicySchema> {
  const autoRollback = invocation.options.enableAutoRollback === true;
  const timeout = secondsOption(invocation, 'healthCheckTimeout', '--health-check-timeout');
  const minHealthy = secondsOption(invocation, 'minHealthy', '--min-healthy');
  const timeoutSeconds = timeout ?? HEALTH_TIMEOUT_SECONDS;
  const minHealthySeconds = minHealthy ?? MIN_HEALTHY_SECONDS;
  if (autoRollback && minHealthySeconds >= timeoutSeconds) {
    throw new KeelError(
      'E_USAGE',
      `Cannot try a release for ${minHealthySeconds} s (--min-healthy): the checks must pass within ${timeoutSeconds} s`,
      { hint: 'Give a longer --health-check-timeout, or a shorter --min-healthy.' },
    );
  }
  if (minHealthy !== undefined && !autoRollback) {
    warn(invocation, '--min-healthy has no effect without --enable-auto-rollback.');
  }
  return {
    autoRollback,
    ...(timeout === undefined ? {} : { healthCheckTimeout: durationFromMs(timeout * 1000) }),
    ...(minHealthy === undefined ? {} : { minHealthy: durationFromMs(minHealthy * 1000) }),
  };
}

/** What becomes of a release that does not prove itself, in words. */
export function policyText(policy: TrialPolicy | undefined): string {
  if (policy === undefined || !policy.autoRollback) return 'committed as soon as its API answers';
  const timeout = policy.healthCheckTimeout?.seconds;
  return `goes back by itself${timeout === undefined ? '' : ` when it is not healthy within ${timeout} s`}`;
}
