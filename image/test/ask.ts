/** One question over HTTP, and its whole answer as it came. */
import { type IncomingHttpHeaders, request } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Asks on a connection of its own. */
export function ask(
  url: string,
  of: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const { method = 'GET', headers = {} } = of;
  return new Promise((done, fail) => {
    const asked = request(url, { method, headers, agent: false }, (answer) => {
      const { statusCode: status = 0, headers: answered } = answer;
      buffer(answer).then((body) => done({ status, headers: answered, body }), fail);
    });
    asked.once('error', fail);
    asked.end();
  });
}
