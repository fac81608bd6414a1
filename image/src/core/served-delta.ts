/** A delta that is kept for whoever asks for it. */
export interface ServedDelta {
  readonly path: string;
  /** Names its bytes. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}
