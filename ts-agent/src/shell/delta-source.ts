/** A delta as a source of the bundle that it makes: what is read of the bundle is made of the running release. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaSourcePlace } from '@keelos/proto/verifier.ts';
import type { AgentPorts } from '../ports.ts';
import type { ReadableDelta } from '../sys/delta-reader.ts';
import type { SourceFacts, SourceRange, UpdateSource } from '../sys/update-source.ts';
import { exactly } from './root-copy.ts';
import { type RunningReleasePorts, runningRelease } from './running-release.ts';
import { findSlot } from './slots.ts';

/** Ports of {@link DeltaSource}. */
export type DeltaPorts = RunningReleasePorts &
  Pick<AgentPorts, 'openDelta' | 'applyDelta' | 'deltaFile' | 'kernelFile' | 'log'>;

/** Processes that are started for one read: one more when the first was ended by something else than its answer. */
const STARTS_MAX = 2;

/** What is being made. */
interface Making {
  readonly pieces: AsyncIterator<Uint8Array>;
  readonly stop: AbortController;
  /** Place in the bundle of the next byte. */
  place: number;
  /** What a read left over of a piece. */
  rest: Uint8Array;
}

/** The source. Ranges behind one another are made in one go; any other begins anew. */
export class DeltaSource implements UpdateSource {
  readonly #delta: UpdateSource;
  readonly #ports: DeltaPorts;
  #opened: { readonly delta: ReadableDelta; readonly release: DeltaSourcePlace } | undefined;
  #making: Making | undefined;

  /** @param delta the file */
  constructor(delta: UpdateSource, ports: DeltaPorts) {
    this.#delta = delta;
    this.#ports = ports;
  }

  /**
   * Fetches the whole delta and looks whether it fits what runs. Nothing else is changed.
   *
   * @throws KeelError any E_SOURCE_ or E_DELTA_ code, E_STATE_FULL, E_STATE_UNAVAILABLE, E_CANCELLED
   */
  async open(signal: AbortSignal): Promise<SourceFacts> {
    try {
      return await this.#open(signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw asDeltaError(cause);
    }
  }

  async #open(signal: AbortSignal): Promise<SourceFacts> {
    const { deltaFile, kernelFile, openDelta } = this.#ports;
    const release = await runningRelease(this.#ports);
    const { sizeBytes, name } = await this.#delta.open(signal);
    const whole = this.#delta.read({ offsetBytes: 0, lengthBytes: sizeBytes }, signal);
    await deltaFile.write(exactly(whole, sizeBytes), sizeBytes);
    const delta = await openDelta(deltaFile.path, signal);
    if (delta.sourceRootHash !== release.rootHash) {
      const reason = `it is for root hash ${delta.sourceRootHash || 'none'}, ${release.rootHash} runs`;
      throw new KeelError('E_DELTA_SOURCE', `Cannot apply delta from ${delta.from}: ${reason}`);
    }
    // It is filled where the delta is applied. Whether there is room is looked at before anything is changed.
    if (delta.kernelBytes > 0) await kernelFile.write(nothing(), delta.kernelBytes);
    this.#opened = { delta, release };
    return { sizeBytes: delta.bundleBytes, name, end: delta.end };
  }

  async *read(
    { offsetBytes, lengthBytes }: SourceRange,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (this.#opened === undefined) throw new Error('read before open');
    const { bundleBytes, end } = this.#opened.delta;
    const madeBytes = bundleBytes - end.length;
    const rangeEnd = offsetBytes + lengthBytes;
    if (offsetBytes < 0 || lengthBytes < 0 || rangeEnd > bundleBytes) {
      throw new RangeError(`bytes ${offsetBytes} to ${rangeEnd} of ${bundleBytes}`);
    }
    const makeEnd = Math.min(rangeEnd, madeBytes);
    for (let at = offsetBytes, starts = 1; at < makeEnd; starts += 1) {
      const making = await this.#makingAt(at);
      const stop = () => making.stop.abort(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      try {
        signal.throwIfAborted();
        for await (const piece of taken(making, makeEnd - at)) {
          yield piece;
          at += piece.length;
        }
      } catch (cause) {
        await this.#stopMaking();
        signal.throwIfAborted();
        const failure = asDeltaError(cause);
        if (failure.code !== 'E_VERIFY_ENDED' || starts === STARTS_MAX) throw failure;
        this.#ports.log(`${failure.message}: it is begun again, once`);
      } finally {
        signal.removeEventListener('abort', stop);
      }
    }
    const from = Math.max(0, offsetBytes - madeBytes);
    if (rangeEnd > madeBytes) yield end.subarray(from, rangeEnd - madeBytes);
  }

  async close(): Promise<void> {
    await this.#stopMaking();
    const { deltaFile, kernelFile } = this.#ports;
    // Each of them, also when another fails.
    const closed = [this.#delta.close(), deltaFile.remove(), kernelFile.remove()];
    await Promise.allSettled(closed);
    await Promise.all(closed);
  }

  /** What is made from a place on: what was begun, when it has come there. */
  async #makingAt(place: number): Promise<Making> {
    if (this.#making?.place === place) return this.#making;
    await this.#stopMaking();
    if (this.#opened === undefined) throw new Error('made before open');
    // What is before that place may be in the slot: of an earlier read, or of an update that was cut off.
    const { device: keptDevice } = await findSlot(this.#ports, 'other');
    const stop = new AbortController();
    const { path } = this.#ports.deltaFile;
    const { path: kernelPath } = this.#ports.kernelFile;
    const { release: source } = this.#opened;
    const pieces = this.#ports.applyDelta(
      { path, kernelPath, source, keptDevice, fromBytes: place },
      stop.signal,
    );
    const rest = new Uint8Array(0);
    this.#making = { pieces: pieces[Symbol.asyncIterator](), stop, place, rest };
    return this.#making;
  }

  async #stopMaking(): Promise<void> {
    const making = this.#making;
    this.#making = undefined;
    if (making === undefined) return;
    making.stop.abort(new KeelError('E_CANCELLED', 'Cannot go on with the delta: not wanted'));
    await making.pieces.return?.().catch(() => undefined);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** The next bytes of what is made. Ends early only with an error. */
async function* taken(making: Making, lengthBytes: number): AsyncGenerator<Uint8Array> {
  for (let left = lengthBytes; left > 0; ) {
    if (making.rest.length === 0) {
      const { done, value } = await making.pieces.next();
      if (done === true) {
        throw new KeelError('E_DELTA_DAMAGED', `Cannot apply delta: ${left} bytes are missing`);
      }
      making.rest = value;
    }
    const piece = making.rest.subarray(0, left);
    making.rest = making.rest.subarray(piece.length);
    making.place += piece.length;
    left -= piece.length;
    yield piece;
  }
}

/** What a device answered to the process that applies, in the table's terms. */
function asDeltaError(cause: unknown): KeelError {
  if (cause instanceof KeelError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KeelError('E_DELTA_SOURCE', `Cannot apply delta: ${reason}`, { cause });
}
