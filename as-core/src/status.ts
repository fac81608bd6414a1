/**
 * What a WebAssembly call answers: the same table as as-core/assembly/status.ts.
 *
 * Below {@link BAD_INPUT_MIN} are mistakes of the caller, from there on faults of the data: 20-39 verity, 40-59 zstd,
 * 100-199 SquashFS.
 */

/** Name to number. */
export const Status = {
  ok: 0,
  wrongState: 1,
  inputTooLong: 2,
  streamTooLong: 3,
  outOfRange: 4,
  verityImageTooShort: 20,
} as const;

/** The first status that speaks about the data and not about the caller. */
export const BAD_INPUT_MIN = 20;

const MESSAGES: Readonly<Record<number, string>> = {
  [Status.wrongState]: 'the stream has ended',
  [Status.inputTooLong]: 'the piece is larger than the input area',
  [Status.streamTooLong]: 'the stream is longer than the format can say',
  [Status.outOfRange]: 'a number is outside its range',
  [Status.verityImageTooShort]: 'the image ends before its last block',
};

/** Data that must be refused. `code` is the name of the status in kebab case, for example "verity-image-too-short". */
export class CoreError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'CoreError';
    this.status = status;
    this.code = codeOf(status);
  }
}

function codeOf(status: number): string {
  const [name] = Object.entries(Status).find(([, number]) => number === status) ?? [];
  if (name === undefined) return `status-${status}`;
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Nothing for `Status.ok`.
 *
 * @param action what could not be done, for the message: "Cannot <action>: <reason>"
 * @throws CoreError when the data is at fault
 * @throws RangeError when the caller broke a rule of the module
 */
export function expectOk(status: number, action: string): void {
  if (status === Status.ok) return;
  const message = `Cannot ${action}: ${MESSAGES[status] ?? `status ${status}`}`;
  throw status >= BAD_INPUT_MIN ? new CoreError(status, message) : new RangeError(message);
}
