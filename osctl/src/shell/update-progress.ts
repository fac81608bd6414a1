/** Tells a person how an install is going: a line for each phase, and within a phase one that moves. */
import type { UpdatePhase, UpdateStatus } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { printable } from '../core/render.ts';
import { hasEnded, phaseText, statusText } from '../core/update-text.ts';
import type { Invocation } from './invocation.ts';
import { progressLine } from './progress-line.ts';

/** Shows states as they come. */
export interface UpdateProgress {
  tell(status: UpdateStatus): void;
  clear(): void;
}

/** The progress of one command, on stderr. Programs get none. */
export function updateProgress(invocation: Invocation): UpdateProgress {
  const line = progressLine(invocation);
  const { terminal } = invocation.host;
  let phase: UpdatePhase | undefined;
  let last = '';
  return {
    tell: (status) => {
      const isNew = status.phase !== phase;
      if (isNew && last !== '') line.keep(last);
      phase = status.phase;
      last = statusText(status);
      if (hasEnded(status)) last = '';
      else if (line.isShown) line.show(last);
      else if (isNew && invocation.globals.output === 'table') {
        terminal.err(`${printable(phaseText(status))}\n`);
      }
    },
    clear: () => line.clear(),
  };
}
