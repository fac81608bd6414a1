/** What can be fuzzed. */
/** Something that reads untrusted bytes. */
export interface Target {
  readonly name: string;
  /** Inputs that are right; every other one is made from them. */
  readonly samples: readonly [Uint8Array, ...Uint8Array[]];
  /** Most processor time of this thread that one execution may take. */
  readonly millisecondsMax: number;
  /**
   * Reads `input` and judges what comes of it: "accepted", or the code of the refusal.
   *
   * @param sample index of the sample that it was made from
   * @throws Finding when a property is broken; anything else that is thrown is a finding too
   */
  run(input: Uint8Array, sample: number): string | Promise<string>;
  /** Memory that what is under test holds, and how much it may. */
  memory(): { readonly bytes: number; readonly bytesMax: number };
  close(): Promise<void>;
}

/** A broken property. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

/** Codes that say that WebAssembly trapped: turned into an error as they should be, and yet a fault to look into. */
const TRAPS: ReadonlySet<string> = new Set(['zstd-trapped', 'squashfs-trap']);

/** The code of a refusal, if it is one that may be. */
export function refusal(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isCoreError = error instanceof Error && error.name === 'CoreError';
  if (!isCoreError || typeof code !== 'string') throw error;
  if (TRAPS.has(code)) throw new Finding(`a trap: ${code}`, { cause: error });
  return code;
}
