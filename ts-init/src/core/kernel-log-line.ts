/**
 * A record of /dev/kmsg as a line of text (Documentation/ABI/testing/dev-kmsg).
 */

const RECORD = /^\d+,\d+,(\d{1,16}),[^;]*;([^\n]*)/;

/** "[   12.345678] text"; undefined when it is no record. */
export function kernelLogLine(record: string): string | undefined {
  const found = RECORD.exec(record);
  if (found === null) return undefined;
  const microseconds = Number(found[1]);
  const seconds = (microseconds / 1_000_000).toFixed(6).padStart(12);
  return `[${seconds}] ${found[2]}`;
}
