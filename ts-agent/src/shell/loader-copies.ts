/** Reads the two copies of the boot loader on the EFI system partition, and writes a damaged one anew from the other. */
import { createHash } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
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
import { readRecord } from './update-records.ts';

/** Ports of this module. */
export type LoaderPorts = Pick<AgentPorts, 'state' | 'variables' | 'log'>;

const FORM = { path: UPDATE_PATHS.loader, kind: LOADER_RECORD, from: loaderFrom };

/** Judges the copies as they lie there. */
export async function judgeCopies(esp: Esp, ports: LoaderPorts): Promise<LoaderVerdict> {
  const [first, second] = LOADER_COPIES;
  const variable = await ports.variables.read(LOADER_IMAGE);
  return judgeLoaders({
    sha256: [sumOf(await contents(esp, first)), sumOf(await contents(esp, second))],
    known: known(ports),
    started: variable && startedCopy(loaderText(variable.data)),
  });
}

/** What came of a mending. */
export interface LoaderMending {
  /** The copies as they are now. */
  readonly verdict: LoaderVerdict;
  /** Path of the copy that was written; absent: none. */
  readonly written?: string;
  /** This node has started before, with both copies in order. */
  readonly wasKnown: boolean;
}

/**
 * Writes a copy that is damaged from the other one, and reads it back.
 *
 * @throws KeelError E_ESP_FULL, E_ESP_DAMAGED
 */
export async function mendCopies(
  esp: Esp,
  ports: LoaderPorts,
  dropCache: () => Promise<void>,
): Promise<LoaderMending> {
  const found = await judgeCopies(esp, ports);
  const wasKnown = known(ports) !== undefined;
  if (found.kind === 'damaged') {
    const path = LOADER_COPIES[found.copy];
    const bytes = await contents(esp, LOADER_COPIES[otherCopy(found.copy)]);
    if (bytes === undefined) throw new KeelError('E_ESP_DAMAGED', `Cannot mend ${path}: no copy`);
    ports.log(`${path} is damaged or gone: it is written from the other copy of the boot loader`);
    await esp.remove(path);
    await esp.write(path, bytes, bytes.length);
    await dropCache();
    if (sumOf(await contents(esp, path)) !== sumOf(bytes)) {
      throw new KeelError('E_ESP_DAMAGED', `Cannot mend ${path}: it reads back as something else`);
    }
    return { verdict: { kind: 'equal', sha256: sumOf(bytes) ?? '' }, written: path, wasKnown };
  }
  return { verdict: found, wasKnown };
}

/** Remembers what both copies are, once the whole ladder is in order: from now on what differs is damage. */
export function rememberLoader(sha256: string, ports: LoaderPorts): void {
  attempt(ports.log, 'boot loader not remembered', () => {
    if (known(ports) === sha256) return;
    ports.state.replace(UPDATE_PATHS.loader, encodeRecord(LOADER_RECORD, { sha256 }));
  });
}

function known(ports: LoaderPorts): string | undefined {
  return attempt(ports.log, 'boot loader not known', () => readRecord(ports, FORM))?.sha256;
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
