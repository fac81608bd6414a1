/** osctl slots */
import { formatBytes } from '@keelos/proto/byte-text.ts';
import {
  type BootOption,
  type ListSlotsResponse,
  ListSlotsResponseSchema,
  type SlotInfo,
  SlotStateSchema,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { enumName, toPlain } from '../core/plain.ts';
import { type Column, tableLines } from '../core/render.ts';
import { shortHash, slotLetter } from '../core/update-text.ts';
import { type Command, withNode } from '../shell/invocation.ts';

function yesOrNothing(fact: boolean): string {
  return fact ? 'yes' : '';
}

const SLOT_COLUMNS: Column<SlotInfo>[] = [
  { header: 'slot', value: ({ slot }) => slotLetter(slot) },
  { header: 'running', value: ({ running }) => yesOrNothing(running) },
  { header: 'next boot', value: ({ next }) => yesOrNothing(next) },
  { header: 'state', value: ({ state }) => enumName(SlotStateSchema, state) },
  { header: 'release', value: ({ version }) => version },
  {
    header: 'tries left',
    value: ({ triesLeft }) => (triesLeft === undefined ? '' : String(triesLeft)),
    align: 'right',
  },
  { header: 'entry', value: ({ entry }) => entry },
  { header: 'size', value: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
  { header: 'root hash', value: ({ rootHash }) => shortHash(rootHash) },
];

const OPTION_COLUMNS: Column<BootOption>[] = [
  { header: 'boot option', value: ({ description }) => description },
  {
    header: 'variable',
    value: ({ number }) =>
      number === undefined ? '' : `Boot${number.toString(16).toUpperCase().padStart(4, '0')}`,
  },
  { header: 'as it must be', value: ({ correct }) => (correct ? 'yes' : 'no') },
];

function linesOf({ slots, bootOptions, bootCounting }: ListSlotsResponse): string[] {
  const ladder =
    bootOptions.length === 0
      ? ['The firmware keeps no boot options.']
      : tableLines(OPTION_COLUMNS, bootOptions);
  const counting = bootCounting
    ? 'The boot loader counts tries.'
    : 'The boot loader has not been seen to count tries: updates are refused.';
  return [...tableLines(SLOT_COLUMNS, slots), '', ...ladder, '', counting];
}

/** The command. */
export const slotsCommand: Command = {
  name: 'slots',
  summary: 'Show both slots, what the next boot starts, and the boot options below the boot loader',
  examples: [
    { command: 'osctl slots', does: 'Releases, states and tries of both slots' },
    {
      command: "osctl slots -o json | jq -r '.slots[] | select(.running) | .version'",
      does: 'The running release, for scripts',
    },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(UpdateService.method.listSlots, {});
      const data = toPlain(ListSlotsResponseSchema, answer);
      return { view: { data, lines: linesOf(answer) } };
    }),
};
