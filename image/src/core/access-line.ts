/** Lines of the access log: one JSON object each, so that nothing a client sends can look like another line. Pure. */

/** Most letters of what a client chose itself. */
const CLIENT_TEXT_CHARS_MAX = 200;

/** One answered request. */
export interface Access {
  readonly atMs: number;
  readonly peer: string;
  readonly method: string;
  readonly target: string;
  readonly range: string | undefined;
  readonly agent: string | undefined;
  readonly status: number;
  /** Bytes of the body that were handed to the system. */
  readonly sentBytes: number;
  readonly tookMs: number;
  /** False: the connection ended before the answer did. */
  readonly isComplete: boolean;
}

/** The line, with its line break. */
export function accessLine(access: Access): string {
  const { atMs, tookMs, target, range, agent, method, ...rest } = access;
  const line = {
    time: new Date(atMs).toISOString(),
    method: shortened(method),
    target: shortened(target),
    ...(range === undefined ? {} : { range: shortened(range) }),
    ...rest,
    tookMs: Math.round(tookMs),
    ...(agent === undefined ? {} : { agent: shortened(agent) }),
  };
  return `${JSON.stringify(line)}\n`;
}

function shortened(text: string): string {
  return text.length <= CLIENT_TEXT_CHARS_MAX ? text : `${text.slice(0, CLIENT_TEXT_CHARS_MAX)}…`;
}
