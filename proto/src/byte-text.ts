/** Numbers of bytes for people: what a node says in its messages and what osctl shows in its tables look the same. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `bytes` with a binary unit and at most one decimal: "0 B", "1.5 MiB", "118 MiB". */
export function formatBytes(bytes: bigint | number): string {
  let amount = Number(bytes);
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const text = unit === 0 || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1);
  return `${text} ${UNITS[unit]}`;
}
