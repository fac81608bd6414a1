/** Reads the two copies of the boot loader on the EFI system partition, and writes a damaged one anew from the other. */
import { createHash } from 'node:crypto';
import { basename, extname } from 'node:path/posix';
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { LoaderRecord } from '@keelos/proto/update-record.ts';
import { LOADER_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { PIECE_BYTES_MAX } from '../core/fat-volume.ts';
import {
  judgeLoaders,
  LOADER_COPIES,
  type LoaderVerdict,
  otherCopy,
  startedCopy,
} from '../core/loader-copies.ts';
import { LOADER_IMAGE, loaderText } from '../core/loader-variables.ts';
import { loaderFrom } from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';
import { attempt } from './attempt.ts';
import type { Esp } from './esp.ts';
import { type RecordPorts, readRecord } from './update-records.ts';

/** Ports of this module. */
export type LoaderPorts = Pick<AgentPorts, 'state' | 'variables' | 'log'>;

const FORM = { path: UPDATE_PATHS.loader, kind: LOADER_RECORD, from: loaderFrom };

/** Judges the copies as they lie there. */
async function judgeCopies(esp: Esp, ports: LoaderPorts): Promise<LoaderVerdict> {
  const [first, second] = LOADER_COPIES;
  const variable = await ports.variables.read(LOADER_IMAGE);
  return judgeLoaders({
    sha256: [sumOf(await contents(esp, first)), sumOf(await contents(esp, second))],
    known: known(ports)?.sha256,
    started: variable && startedCopy(loaderText(variable.data)),
  });
}

/** SHA-256 of both copies, hexadecimal; undefined when they differ or one cannot be read. */
export async function loaderSha256(esp: Esp): Promise<string | undefined> {
  const [first, second] = LOADER_COPIES;
  const sum = sumOf(await contents(esp, first));
  return sum === sumOf(await contents(esp, second)) ? sum : undefined;
}

/** What came of a mending. */
export interface LoaderMending {
  /** The copies as they are now. */
  readonly verdict: LoaderVerdict;
  /** Path of the copy that was written; absent: none. */
  readonly written?: string;
}

/**
 * Writes a copy that is damaged from the other one: under another name, read back, and then by a change of one sector, so
 * that a damaged copy that starts all the same is there until the new one is. Without room for both it stays as it is.
 *
 * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED
 */
export async function mendCopies(
  esp: Esp,
  ports: LoaderPorts,
  dropCache: () => Promise<void>,
): Promise<LoaderMending> {
  // Of a mending that was cut off.
  for (const path of LOADER_COPIES) await esp.remove(beside(path));
  const found = await judgeCopies(esp, ports);
  if (found.kind !== 'damaged') return { verdict: found };
  const path = LOADER_COPIES[found.copy];
  const bytes = await contents(esp, LOADER_COPIES[otherCopy(found.copy)]);
  if (bytes === undefined || sumOf(bytes) !== found.sha256) {
    throw new KeelError('E_ESP_DAMAGED', `Cannot mend ${path}: the other copy reads differently`);
  }
  ports.log(`${path} is damaged or gone: it is written from the other copy of the boot loader`);
  await esp.write(beside(path), bytes, bytes.length);
  await dropCache();
  if (sumOf(await contents(esp, beside(path))) !== found.sha256) {
    throw new KeelError('E_ESP_DAMAGED', `Cannot mend ${path}: it reads back as something else`);
  }
  const isThere = (await esp.read(path, 1).catch(() => Buffer.alloc(0))) !== undefined;
  const failed = await (isThere
    ? esp.replace(path, beside(path))
    : esp.rename(beside(path), basename(path))
  ).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  await dropCache();
  const verdict = await judgeCopies(esp, ports);
  // What comes after the exchange may fail: then it is mended all the same.
  if (failed !== undefined && verdict.kind !== 'equal') throw failed;
  return { verdict, written: path };
}

/** Where a copy is written before it takes its place. */
function beside(path: string): string {
  return `${path.slice(0, -extname(path).length)}.new`;
}

/** Whether this node has had its boot options in order before: what differs then is damage. */
export function hadOptions(ports: RecordPorts): boolean {
  return known(ports)?.hadOptions === true;
}

/** Remembers what both copies are: from now on what differs is damage. */
export function rememberLoader(record: LoaderRecord, ports: RecordPorts): void {
  attempt(ports.log, 'boot loader not remembered', () => {
    const before = known(ports);
    const after = { ...record, hadOptions: record.hadOptions || before?.hadOptions === true };
    if (before?.sha256 === after.sha256 && before.hadOptions === after.hadOptions) return;
    ports.state.replace(UPDATE_PATHS.loader, encodeRecord(LOADER_RECORD, after));
  });
}

function known(ports: RecordPorts): LoaderRecord | undefined {
  return attempt(ports.log, 'boot loader not known', () => readRecord(ports, FORM));
}

/** Undefined when there is none, it cannot be read, or it is larger than any boot loader. */
async function contents(esp: Esp, path: string): Promise<Buffer | undefined> {
  try {
    const bytes = await esp.read(path, PIECE_BYTES_MAX);
    return bytes === undefined || bytes.length === PIECE_BYTES_MAX ? undefined : bytes;
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    return undefined;
  }
}

function sumOf(bytes: Buffer | undefined): string | undefined {
  return bytes && createHash('sha256').update(bytes).digest('hex');
}
