/** What is recorded and then cut: courses of events on a node, each from a medium that has come to rest. */
import { generateKeyPairSync } from 'node:crypto';
import { ENTRIES_DIR } from '@keelos/proto/boot-entry.ts';
import type { ErrorCode } from '@keelos/proto/errors.ts';
import type { AgentModules } from './agent-modules.ts';
import type { Recording } from './cut-points.ts';
import { FirmwareFat } from './firmware-fat.ts';
import { DEVICES, extentOf, FIRMWARE_DEVICE, freshMedium } from './fresh-medium.ts';
import type { Faults, Hardware } from './hardware.ts';
import type { Releases } from './judge.ts';
import { loaderEntries } from './machine.ts';
import type { Medium } from './medium.ts';
import { Node, type World } from './node.ts';
import { type Behaviour, makeRelease, type Release, trustBytesOf } from './releases.ts';
import { POLICY, type Session, urlOf } from './session.ts';

/** Releases of a test, by what they are for. */
export interface Cast {
  /** On the disk from the beginning. */
  readonly first: Release;
  readonly good: Release;
  readonly unhealthy: Release;
  readonly panics: Release;
  readonly silent: Release;
  readonly unloadable: Release;
  /** The update that must work after everything. */
  readonly next: Release;
  readonly trustBytes: Uint8Array;
  readonly releases: Releases;
}

/** New keys, and releases signed with them. */
export function makeCast(): Cast {
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const made = (number: number, behaviour: Behaviour) => makeRelease({ number, behaviour, key });
  const cast = {
    first: made(1, 'healthy'),
    good: made(2, 'healthy'),
    unhealthy: made(3, 'unhealthy'),
    panics: made(4, 'panics'),
    silent: made(5, 'silent'),
    unloadable: made(6, 'unloadable'),
    next: made(9, 'healthy'),
  };
  const releases = new Map(Object.values(cast).map((release) => [release.rootHash, release]));
  return { ...cast, trustBytes: trustBytesOf(key), releases };
}

/** In the third block of a root. */
const ROTTEN_AT = 9000;
/** Longer than a schedule waits here. */
const WAIT_MS = 660_000;

/** A course of events. */
export interface Scenario {
  readonly name: string;
  /** It begins with a disk as it was built; else with a node that has been on before. */
  readonly isFromTheBox?: boolean;
  /** What happened before the recording begins. */
  readonly prepare?: (course: Course) => Promise<void>;
  /** Release whose root is spoilt on purpose. */
  readonly rotten?: 'good';
  /** Entries are spoilt on purpose: a committed release may give way to the other one. */
  readonly mayFallBack?: boolean;
  /** Of the drive, while it is recorded. */
  readonly faults?: Faults;
  readonly run: (course: Course) => Promise<void>;
}

/** A node in the hands of a scenario. */
export class Course {
  readonly cast: Cast;
  readonly #node: Node;
  #session: Session | undefined;

  constructor(node: Node, cast: Cast) {
    this.#node = node;
    this.cast = cast;
  }

  /** The agent that runs. */
  get session(): Session {
    if (this.#session === undefined) throw new TypeError('the node is off');
    return this.#session;
  }

  /** Switches on, until it rests. @throws Error when it does not come to rest */
  async boot(): Promise<void> {
    const rest = await this.#node.powerOn();
    if (rest.kind === 'stuck') throw new Error(`the node is stuck: ${rest.reason}`);
    this.#session = rest.session;
  }

  /** Installs a release, and lets the trial run its course. */
  async update(
    release: Release,
    of: { readonly retryFailed?: boolean; readonly byDelta?: boolean } = {},
  ): Promise<void> {
    this.#node.hardware.mark(`install of ${release.version}`);
    await this.session.install(release, of);
    await this.boot();
  }

  /** Tries to install a release. @throws Error when it is not refused with this code */
  async refusedUpdate(release: Release, code: ErrorCode): Promise<void> {
    this.#node.hardware.mark(`install of ${release.version}`);
    const found = await codeOf(this.session.install(release));
    if (found !== code) throw new Error(`the install ended with ${found}, not ${code}`);
  }

  /** Has a release installed ten minutes later, and lets the trial run its course. */
  async updateLater(release: Release): Promise<void> {
    this.#node.hardware.mark(`schedule for ${release.version}`);
    const { id } = this.session.scheduler.add({
      url: urlOf(release),
      sha256: '',
      when: { inSeconds: 600 },
      who: 'CN=operator',
      jitterSeconds: 0,
      lateSecondsMax: undefined,
      policy: POLICY,
    });
    this.session.clock.advance(WAIT_MS);
    await this.#node.lookAtSchedules(this.session);
    await this.boot();
    const schedule = this.session.scheduler.list().find((each) => each.id === id);
    if (schedule?.state !== 'done') throw new Error(`the schedule is ${schedule?.state}`);
  }

  /** Arms a release and takes that back before it is tried. */
  async armAndCancel(release: Release): Promise<void> {
    this.#node.hardware.mark(`install of ${release.version}`);
    await this.session.install(release, { isRebootLeft: true });
    this.#node.hardware.mark('cancel');
    await this.session.engine.cancel('');
  }

  /** Cancels an install while its root is written. */
  async cancelHalfWay(release: Release): Promise<void> {
    this.#node.hardware.mark(`install of ${release.version}`);
    const { engine } = this.session;
    let highest = 0;
    const onPiece = (offset: number) => {
      // A bundle as small as this is read whole when its end is looked at; then its root is read from the beginning.
      const isWriting = offset < highest && offset > release.root.length / 2;
      highest = Math.max(highest, offset);
      if (isWriting && offset < release.root.length) engine.cancel('').catch(() => undefined);
    };
    const found = await codeOf(this.session.install(release, { onPiece }));
    if (found !== 'E_CANCELLED') throw new Error(`the install ended with ${found}`);
  }

  /** Does something to the disk that no part of KeelOS does. */
  damage(what: string, act: (hardware: Hardware, fat: FirmwareFat) => void): void {
    const { hardware } = this.#node;
    hardware.mark(what);
    hardware.restart();
    act(
      hardware,
      new FirmwareFat(hardware.device(FIRMWARE_DEVICE), extentOf(DEVICES.esp).offsetBytes),
    );
    hardware.device(FIRMWARE_DEVICE).flush();
  }

  /** Goes back to the other slot, and lets the trial run its course. */
  async rollback(): Promise<void> {
    this.#node.hardware.mark('rollback');
    await this.session.rollback('a test');
    await this.boot();
  }
}

async function codeOf(install: Promise<void>): Promise<unknown> {
  return install.then(
    () => 'armed',
    (cause: unknown) => (cause instanceof Error && 'code' in cause ? cause.code : String(cause)),
  );
}

function loseVariables(hardware: Hardware): void {
  for (const name of [...hardware.medium.variables.keys()]) hardware.setVariable(name, undefined);
}

/** All of them. Each begins with a node that is switched on and comes to rest. */
export const SCENARIOS: readonly Scenario[] = [
  { name: 'the first boot', isFromTheBox: true, run: async () => undefined },
  { name: 'an update that is committed', run: (course) => course.update(course.cast.good) },
  {
    name: 'an update by a delta',
    run: (course) => course.update(course.cast.good, { byDelta: true }),
  },
  {
    name: 'an update whose trial never gets healthy',
    run: (course) => course.update(course.cast.unhealthy),
  },
  { name: 'an update whose kernel panics', run: (course) => course.update(course.cast.panics) },
  { name: 'an update whose agent is silent', run: (course) => course.update(course.cast.silent) },
  {
    name: 'an update whose kernel image cannot be loaded',
    run: (course) => course.update(course.cast.unloadable),
  },
  {
    name: 'a second update over what the first has left',
    prepare: (course) => course.update(course.cast.good),
    run: (course) => course.update(course.cast.next),
  },
  {
    name: 'a rollback by hand',
    prepare: (course) => course.update(course.cast.good),
    run: (course) => course.rollback(),
  },
  {
    name: 'a drive that writes something else into the slot',
    faults: { isCorrupted: ({ device, offsetBytes }) => device === DEVICES.b && offsetBytes > 0 },
    run: (course) => course.refusedUpdate(course.cast.good, 'E_SLOT_WRITE'),
  },
  {
    name: 'a drive that writes something else for the kernel image',
    faults: {
      // Nothing else on that partition is written in one piece of this size.
      isCorrupted: ({ device, lengthBytes }) => device === DEVICES.esp && lengthBytes > 4096,
    },
    run: (course) => course.refusedUpdate(course.cast.good, 'E_ESP_DAMAGED'),
  },
  {
    name: 'a committed root that rots',
    rotten: 'good',
    prepare: (course) => course.update(course.cast.good),
    run: async (course) => {
      course.damage('a block of slot B rots', (hardware) => {
        const { offsetBytes } = extentOf(DEVICES.b);
        hardware.device(FIRMWARE_DEVICE).write(offsetBytes + ROTTEN_AT, Buffer.from('rotten'));
      });
      await course.boot();
    },
  },
  {
    name: 'loader entries that were emptied',
    mayFallBack: true,
    prepare: (course) => course.update(course.cast.good),
    run: async (course) => {
      course.damage('the entries are erased', (_, fat) => {
        for (const { fileName } of loaderEntries(fat)) fat.erase(ENTRIES_DIR, fileName);
      });
      // The firmware starts the kernel image: that the loader counts was seen in the boots before.
      await course.boot();
      await course.update(course.cast.next);
    },
  },
  {
    name: 'a first loader that is damaged',
    run: async (course) => {
      course.damage('the first loader is overwritten', (_, fat) => {
        fat.overwrite('EFI/BOOT', 'BOOTX64.EFI', Buffer.from('not a program'));
      });
      await course.boot();
      await course.update(course.cast.good);
      // Without variables the firmware knows the first loader alone, which has been written anew.
      course.damage('the variables are lost', loseVariables);
      await course.boot();
    },
  },
  {
    name: 'a firmware that forgot its variables',
    run: async (course) => {
      course.damage('the variables are lost', loseVariables);
      await course.boot();
      await course.update(course.cast.unloadable);
    },
  },
  {
    name: 'an armed update that is given up',
    run: (course) => course.armAndCancel(course.cast.good),
  },
  {
    name: 'an update that is cancelled half-way',
    run: (course) => course.cancelHalfWay(course.cast.good),
  },
  { name: 'a scheduled update', run: (course) => course.updateLater(course.cast.good) },
  {
    name: 'a good update after one that failed',
    prepare: (course) => course.update(course.cast.unhealthy),
    run: (course) => course.update(course.cast.good),
  },
];

/**
 * The scenario of that name.
 *
 * @throws RangeError when there is none: a sweep over nothing would find nothing
 */
export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((each) => each.name === name);
  if (found === undefined) throw new RangeError(`no scenario is called "${name}"`);
  return found;
}

/** Runs a scenario and keeps every event of it. */
export async function record(
  scenario: Scenario,
  of: { readonly agent: AgentModules; readonly cast: Cast; readonly seed: number },
): Promise<Recording> {
  const { agent, cast, seed } = of;
  const world: World = { agent, releases: cast.releases, trustBytes: cast.trustBytes };
  let base: Medium = freshMedium(cast.first);
  if (scenario.isFromTheBox !== true) {
    const before = new Node(world, base, { seed });
    const course = new Course(before, cast);
    await course.boot();
    await scenario.prepare?.(course);
    before.hardware.restart();
    base = before.hardware.medium;
  }
  const { faults } = scenario;
  const node = new Node(world, base, {
    seed: seed + 1,
    ...(faults === undefined ? {} : { faults }),
  });
  const course = new Course(node, cast);
  await course.boot();
  await scenario.run(course);
  return { base, events: node.hardware.events };
}
