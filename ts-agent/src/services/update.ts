/** UpdateService: releases are installed, tried, and gone back to; schedules are in update-schedules.ts, channels in update-channel.ts. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { HISTORY_MAX } from '@keelos/proto/update-record.ts';
import { subjectOfCaller } from '../core/access.ts';
import { isTrialEntry } from '../core/trial.ts';
import { writtenSlot } from '../core/update-status.ts';
import type { Node } from '../node.ts';
import { bundleSource } from '../shell/bundle-source.ts';
import type { CallContext, ServiceMethods } from '../shell/calls.ts';
import { bootId } from '../shell/node-facts.ts';
import { pushedUpdate } from '../shell/push-source.ts';
import { resumeRecord, trialRecord } from '../shell/update-records.ts';
import { channelMethods } from './update-channel.ts';
import {
  bootOptionMessage,
  historyMessage,
  optionsFrom,
  policyFrom,
  reasonFrom,
  slotMessage,
  statusMessage,
} from './update-messages.ts';
import { scheduleMethods } from './update-schedules.ts';

/** Methods that wait for the disk or a server: they have more time than others. */
export const SLOW_UPDATE_METHODS: readonly string[] = [
  'startUpdate',
  'cancelUpdate',
  'triggerRollback',
];

/** Methods over `node`. */
export function updateMethods(node: Node): ServiceMethods<typeof UpdateService> {
  const { ports, engine, scheduler, configuration, channel } = node;
  const tell = (what: string, { caller }: CallContext): string => {
    const subject = subjectOfCaller(caller);
    ports.log(`${what} asked for by "${subject}"`);
    return subject;
  };
  return {
    async startUpdate({ url, deltaUrl, channel: name, caPem, options }, context) {
      const wanted = optionsFrom(options);
      if (name !== '') {
        if (deltaUrl !== '') throw deltaOfChannel();
        const found = await channel.look({ url, channel: name, caPem }, context.signal);
        const { version, bundle } = found.newest.release;
        if (found.isRunning) return { newestVersion: version };
        const exact = { ...wanted, sha256: wanted.sha256 === '' ? bundle.sha256 : wanted.sha256 };
        const source = await found.source();
        const status = await engine.start(source, exact, tell(`update from ${name}`, context));
        return { status: statusMessage(status), newestVersion: version };
      }
      const source = await bundleSource(
        { url, deltaUrl, caPem },
        { ports, configuration, progress: engine.progress },
      );
      const status = await engine.start(source, wanted, tell('update', context));
      return { status: statusMessage(status) };
    },
    pushUpdate: (requests, context) =>
      pushedUpdate(requests, {
        signal: context.signal,
        install: async (source, { options }) => {
          const who = tell('pushed update', context);
          return statusMessage(await engine.install(source, optionsFrom(options), who));
        },
      }),
    async *watchUpdate({ id }, { signal }) {
      for await (const status of engine.watch(id, signal)) yield { status: statusMessage(status) };
    },
    async cancelUpdate({ id }, context) {
      tell('end of the update', context);
      return { status: statusMessage(await engine.cancel(id)) };
    },
    listSlots: () => slotsAnswer(node),
    async triggerRollback({ reason, policy, noReboot, retryFailed }, context) {
      const options = {
        reason: reasonFrom(reason),
        policy: policyFrom(policy),
        isRebootLeft: noReboot,
        retryFailed,
      };
      const ending = await bootId(ports.files);
      const { id, version } = await engine.rollback(options, tell('rollback', context));
      return { id, version, bootId: ending };
    },
    async listRollbackHistory({ limit }) {
      if (limit > HISTORY_MAX) {
        throw new KeelError('E_INVALID_ARGUMENT', `Cannot list ${limit}: at most ${HISTORY_MAX}`);
      }
      const entries = engine.history.entries();
      return { entries: entries.slice(0, limit === 0 ? undefined : limit).map(historyMessage) };
    },
    ...scheduleMethods(scheduler),
    ...channelMethods(channel.follower),
  };
}

function deltaOfChannel(): KeelError {
  const reason = 'of a channel the node finds the delta itself';
  return new KeelError('E_INVALID_ARGUMENT', `Cannot use delta_url: ${reason}`);
}

async function slotsAnswer({ ports, engine, bootState, bootLadder }: Node) {
  const trial = trialRecord(ports);
  const partial = resumeRecord(ports);
  const picture = await bootState.read();
  const { entry, rootHash } = picture.running;
  // A trial whose record is lost is known by its entry.
  const isOnTrial = entry !== undefined && isTrialEntry(entry.name);
  const trialRootHash = trial?.to.rootHash ?? (isOnTrial ? rootHash : undefined);
  const partialSlot = partial?.slot ?? writtenSlot(engine.status());
  const slots = await bootState.slots({
    ...(trialRootHash === undefined ? {} : { trialRootHash }),
    ...(partialSlot === undefined ? {} : { partialSlot }),
  });
  // What is committed is on the last rung; while a trial runs, that is the release in the other slot.
  const { rungs } = await bootLadder.check(isOnTrial ? undefined : picture.running);
  return {
    slots: slots.map(slotMessage),
    bootOptions: rungs.map(bootOptionMessage),
    bootCounting: picture.isCounting === true,
  };
}
