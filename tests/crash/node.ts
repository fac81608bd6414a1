/** A machine with its agent: switched on until it has come to rest, told to install, cut and switched on again. */

import { decodeRecord } from '@keelos/proto/state-record.ts';
import { TRIAL_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import {
  judgeTrial,
  loaderEntry,
  readTrialRecord,
  slotHash,
} from '@keelos/ts-init/core/trial-guard.ts';
import { Random } from '../fuzz/random.ts';
import type { AgentModules } from './agent-modules.ts';
import { EXTENTS } from './fresh-medium.ts';
import { type Faults, Hardware } from './hardware.ts';
import type { Releases } from './judge.ts';
import { COUNTED_VARIABLE, Machine, type RunningSystem } from './machine.ts';
import type { Medium } from './medium.ts';
import type { Release } from './releases.ts';
import { Session } from './session.ts';

/** Boots of one switching on: a trial that fails, the way back, and one more to be sure of ends. */
const BOOTS_MAX = 8;
const FIRST_MS = 1_780_000_000_000;
/** From one boot to the next. */
const BOOT_MS = 60_000;

/** What does not change between nodes of a test. */
export interface World {
  readonly releases: Releases;
  readonly trustBytes: Uint8Array;
  readonly agent: AgentModules;
}

/** What came of switching on. */
export type Rest =
  | { readonly kind: 'rest'; readonly session: Session; readonly starts: number }
  | { readonly kind: 'stuck'; readonly reason: string; readonly starts: number };

/** A node on a medium. */
export class Node {
  readonly hardware: Hardware;
  readonly #world: World;
  readonly #machine: Machine;
  readonly #random: Random;
  #boots = 0;
  #nowMs: number;

  constructor(
    world: World,
    medium: Medium,
    of: {
      readonly seed: number;
      readonly faults?: Faults;
      /** How long the machine was off, in milliseconds. */
      readonly offMs?: number;
    },
  ) {
    this.#nowMs = FIRST_MS + (of.offMs ?? 0);
    this.#world = world;
    this.hardware = new Hardware(medium, EXTENTS, of.faults);
    this.#machine = new Machine(this.hardware, world.releases);
    this.#random = new Random(of.seed, 0);
  }

  /** Releases whose kernel was started since the node was made. */
  get started(): ReadonlySet<Release> {
    return this.#machine.started;
  }

  /** Starts the machine again and again, until an agent has nothing left to do. */
  async powerOn(): Promise<Rest> {
    let starts = 0;
    for (let boots = 0; boots < BOOTS_MAX; boots += 1) {
      const start = this.#machine.start();
      starts += start.starts;
      if (start.kind === 'stuck') return { ...start, starts };
      const { system } = start;
      const bootId = this.#nextBootId();
      if (system.release.behaviour === 'silent') {
        // PID 1 restarts the machine at the deadline, if it knows of one.
        if (this.#isTrial(system, bootId)) continue;
        return { kind: 'stuck', reason: `${system.release.version} runs and is silent`, starts };
      }
      const session = this.#session(system, bootId);
      this.hardware.mark(`the agent of ${system.release.version} starts`);
      await session.committer.run();
      if (!session.isRebootAsked) await this.lookAtSchedules(session);
      if (!session.isRebootAsked) return { kind: 'rest', session, starts };
    }
    return { kind: 'stuck', reason: `${BOOTS_MAX} boots, and no end`, starts };
  }

  /** Does what is due, as at the start of an agent; what it begins has ended then, or asks for a restart. */
  async lookAtSchedules({ scheduler }: Session): Promise<void> {
    scheduler.start();
    await scheduler.look();
    scheduler.close();
  }

  /** Lets the machine boot and takes its power away before the agent has done anything. */
  bootAndCut(): boolean {
    return this.#machine.start().kind === 'runs';
  }

  #nextBootId(): string {
    this.#boots += 1;
    // Another id in every boot of every node.
    return `${this.#random.word().toString(16)}-${this.#boots}`;
  }

  #session(system: RunningSystem, bootId: string): Session {
    this.#nowMs += BOOT_MS;
    return new Session({
      hardware: this.hardware,
      system,
      bootId,
      clock: createFakeClock(this.#nowMs),
      agent: this.#world.agent,
      trustBytes: this.#world.trustBytes,
      releases: this.#world.releases,
      draw: (below) => this.#random.below(below),
    });
  }

  /** PID 1's own judgement (ts-init/src/core/trial-guard.ts). */
  #isTrial({ commandLine }: RunningSystem, bootId: string): boolean {
    const bytes = this.hardware.files.read(UPDATE_PATHS.trial);
    const counted = this.hardware.variable(COUNTED_VARIABLE)?.data;
    const record =
      bytes === undefined ? undefined : readTrialRecord(decodeRecord(TRIAL_RECORD, bytes));
    // As in efivarfs: four bytes of attributes in front.
    const entry =
      counted === undefined ? undefined : loaderEntry(Buffer.concat([Buffer.alloc(4), counted]));
    return judgeTrial({ record, rootHash: slotHash(commandLine), bootId, entry }).isTrial;
  }
}
