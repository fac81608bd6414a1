/** Lines of the access log: one JSON object each, so that nothing a client sends can look like another line. Pure. */

/** Most letters of what a client chose itself. */
const CLIENT_TEXT_CHARS_MAX = 200;

const CONTROLS = /[\u007f-\u009f\u2028\u2029]/g;

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
  // JSON leaves some control characters as they are; a terminal would obey them.
  const text = JSON.stringify(line).replace(
    CONTROLS,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${text}\n`;
}

function shortened(text: string): string {
  return text.length <= CLIENT_TEXT_CHARS_MAX ? text : `${text.slice(0, CLIENT_TEXT_CHARS_MAX)}…`;
}
