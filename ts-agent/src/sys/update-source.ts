/** Where a bundle comes from: a server, or the operator at the other end of a call. */

/** What is known of a bundle before any of it was read. */
export interface SourceFacts {
  readonly sizeBytes: number;
  /** For messages: URL without its query and credentials, or the file's name. */
  readonly name: string;
}

/** The port. */
export interface UpdateSource {
  /** Asks for the size. @throws KeelError E_SOURCE_… */
  open(signal: AbortSignal): Promise<SourceFacts>;
  /**
   * Bytes of a range, in order, in pieces of at most 1 MiB; exactly as many as asked for. Broken connections are taken
   * up again inside, a bounded number of times.
   *
   * @throws KeelError E_SOURCE_UNREACHABLE, E_SOURCE_REFUSED, E_SOURCE_CHANGED, E_BUNDLE_TRUNCATED, E_CANCELLED
   */
  read(
    range: { readonly offsetBytes: number; readonly lengthBytes: number },
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
