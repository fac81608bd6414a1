/** What a WebAssembly call answers: the same table as as-core/assembly/status.ts. */

/** Name to number. */
export const Status = {
  ok: 0,
  wrongState: 1,
  inputTooLong: 2,
  streamTooLong: 3,
} as const;

const MESSAGES: Readonly<Record<number, string>> = {
  [Status.wrongState]: 'the stream has ended',
  [Status.inputTooLong]: 'the piece is larger than the input area',
  [Status.streamTooLong]: 'the stream is longer than the format can say',
};

/**
 * Nothing for `Status.ok`.
 *
 * @throws RangeError for every other status: the caller broke a rule of the module
 */
export function expectOk(status: number, action: string): void {
  if (status === Status.ok) return;
  throw new RangeError(`Cannot ${action}: ${MESSAGES[status] ?? `status ${status}`}`);
}
