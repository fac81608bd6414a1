/** The patched bytes of a delta, one stretch after the other. */
import type { DeltaFile } from './delta-file.ts';
import { PatchDecoder } from './delta-patch-decoder.ts';
import type { UnpackedSource } from './delta-source.ts';
import { compileModule } from './load.ts';

/** Bytes of a piece that nobody wants. */
const PASSED_BYTES = 65_536;

/** Compiles what {@link PatchBytes} needs. */
export async function compilePatch(): Promise<WebAssembly.Module> {
  return compileModule('delta-coder');
}

/** Makes them. The plan was judged: it takes as many as the manifest says. */
export class PatchBytes {
  /** None where nothing is patched. */
  readonly #decoder: PatchDecoder | undefined;
  readonly #passed = new Uint8Array(PASSED_BYTES);

  constructor(of: {
    readonly delta: DeltaFile;
    readonly unpacked: UnpackedSource;
    readonly module: WebAssembly.Module;
  }) {
    const { delta, unpacked, module } = of;
    const { size } = delta.manifest.parts.patch;
    if (size === 0) return;
    let place = 0;
    this.#decoder = new PatchDecoder(module, {
      oldBytes: unpacked.sizeBytes,
      readOld: unpacked.read,
      readStream: (target) => {
        const bytes = target.subarray(0, size - place);
        delta.readIn('patch', place, bytes);
        place += bytes.length;
        return bytes.length;
      },
    });
  }

  /**
   * Fills `target` with the next bytes.
   *
   * @throws CoreError "delta-patch-…" when the patch is malformed
   */
  read(target: Uint8Array): void {
    this.#decoder?.read(target);
  }

  /** Leaves out the next bytes. @throws CoreError as {@link read} */
  pass(length: number): void {
    for (let left = length; left > 0; left -= PASSED_BYTES) {
      this.read(this.#passed.subarray(0, Math.min(PASSED_BYTES, left)));
    }
  }

  /** Everything was taken. @throws CoreError when the patch goes on, or other bytes came out than were coded */
  close(): void {
    this.#decoder?.finish();
  }
}
