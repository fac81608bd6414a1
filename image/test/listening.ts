/** Waiting for a server of `keel-image serve` that runs as a program. */
import type { Readable } from 'node:stream';

const START_MS = 60_000;

/** The URL at which it serves, once its error output says so. */
export function listening(errors: Readable | null): Promise<string> {
  let said = '';
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`it does not serve: ${said}`)), START_MS);
    errors?.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
      const url = /serving \S+ at (http\S+)\n/.exec(said)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      done(url);
    });
  });
}
