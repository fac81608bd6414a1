/** Bytes of a file in pieces of the size that the disk takes, whatever the pieces in which they come. */

/** Bytes of a file: at once, or as they come. */
export type FileBytes = Uint8Array | AsyncIterable<Uint8Array>;

/** The bytes themselves could not be had, or are not as many as was said: no fault of the disk. */
export class BytesFailure extends Error {
  override readonly name = 'BytesFailure';
}

/** Gives pieces out. */
export interface PieceReader {
  /** The next `lengthBytes` bytes; behind the end of the file they are zero. @throws BytesFailure */
  next(lengthBytes: number): Promise<Buffer>;
  /** Makes sure that no more bytes come. @throws BytesFailure when some do, or the file was short */
  end(): Promise<void>;
  /** Lets go of the source, also when not all of it was read. */
  close(): Promise<void>;
}

/** Reads `bytes`, of which there must be `sizeBytes`. */
export function inPieces(bytes: FileBytes, sizeBytes: number): PieceReader {
  const source = bytes instanceof Uint8Array ? [bytes].values() : bytes[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  let taken = 0;
  const more = async (): Promise<boolean> => {
    try {
      const { done, value } = await source.next();
      if (done !== true) rest = value;
      return done !== true;
    } catch (cause) {
      throw new BytesFailure('the bytes could not be read', { cause });
    }
  };
  const wrongSize = () => {
    const found = `${taken + rest.length} bytes or more, expected ${sizeBytes}`;
    return new BytesFailure(found, { cause: new RangeError(found) });
  };
  return {
    async next(lengthBytes) {
      const piece = Buffer.alloc(lengthBytes);
      for (let filled = 0; filled < lengthBytes; ) {
        if (rest.length === 0 && !(await more())) break;
        const part = rest.subarray(0, lengthBytes - filled);
        piece.set(part, filled);
        filled += part.length;
        taken += part.length;
        rest = rest.subarray(part.length);
      }
      return piece;
    },
    async end() {
      if (taken + rest.length !== sizeBytes) throw wrongSize();
      while (await more()) if (rest.length > 0) throw wrongSize();
    },
    async close() {
      await source.return?.();
    },
  };
}
