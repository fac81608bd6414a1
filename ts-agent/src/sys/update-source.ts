/** Where a bundle comes from: a server, or the operator at the other end of a call. */

/** What is known of a bundle before any of it was read. */
export interface SourceFacts {
  readonly sizeBytes: number;
  /** For messages: URL without its query and credentials, or the file's name. */
  readonly name: string;
  /**
   * What stands behind the kernel image, where the source has it at once and everything else only in order: then no more
   * is read than is installed, and once.
   */
  readonly end?: Uint8Array;
}

/** A piece of a bundle. */
export interface SourceRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The port. */
export interface UpdateSource {
  /** Asks for the size. @throws KeelError any E_SOURCE_ code, E_BUNDLE_TRUNCATED for an empty file, E_CANCELLED */
  open(signal: AbortSignal): Promise<SourceFacts>;
  /**
   * Bytes of a range, in order, in pieces of at most 1 MiB; exactly as many as asked for. Broken connections are taken
   * up again inside, a bounded number of times.
   *
   * @throws KeelError any E_SOURCE_ code, E_CANCELLED; of a push also E_INVALID_ARGUMENT
   */
  read(range: SourceRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
