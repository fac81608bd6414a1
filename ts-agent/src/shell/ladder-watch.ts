/** The ladder of boot options for who asks often: reading variables can cost the firmware milliseconds. */
import type { AgentPorts } from '../ports.ts';
import type { BootLadder, LadderFacts } from './boot-ladder.ts';

/** A ladder that was in order is not looked at again for this long. */
export const LADDER_CHECK_MS = 60_000;

/** What was seen last, and when. */
export class LadderWatch {
  readonly #ladder: BootLadder;
  readonly #clock: AgentPorts['clock'];
  #seen: { readonly facts: LadderFacts; readonly atMs: number } | undefined;

  constructor(ladder: BootLadder, clock: AgentPorts['clock']) {
    this.#ladder = ladder;
    this.#clock = clock;
  }

  /** The ladder now, or as it was within the last minute. @throws KeelError E_DISK_LAYOUT */
  async facts(): Promise<LadderFacts> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#seen !== undefined && nowMs - this.#seen.atMs < LADDER_CHECK_MS) {
      return this.#seen.facts;
    }
    this.#seen = undefined;
    const facts = await this.#ladder.check();
    const isSeen = facts.isAvailable && facts.loaders !== undefined;
    const isInOrder = isSeen && facts.rungs.every(({ isCorrect }) => isCorrect);
    if (isInOrder) this.#seen = { facts, atMs: nowMs };
    return facts;
  }
}
