// One line when a step starts, one every 15 seconds while it runs, one when it ends. On stderr, so that stdout stays
// free for a command's result.

const INTERVAL_MS = 15_000;

/**
 * @typedef {object} Timing
 * @property {string} title
 * @property {number} seconds rounded to a tenth
 * @property {boolean} ok false when the step threw
 */

/**
 * @typedef {object} StepContext
 * @property {(text: string) => void} detail says what the step is at; shown with the next line
 */

/**
 * @typedef {object} Progress
 * @property {<T>(title: string, options: { estimateSeconds?: number }, run: (context: StepContext) => T | Promise<T>) => Promise<T>} step
 *   runs one step and returns what it returned
 * @property {(text: string) => void} note one line outside any step
 * @property {Timing[]} timings the steps that have ended, in the order of their end
 */

/**
 * A duration for people: `7 s`, `2 min 05 s`.
 * @param {number} seconds
 */
export function formatSeconds(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/**
 * Makes a progress reporter. With `json` each line is one JSON object (`event`, `step`, `seconds`, ...).
 *
 * @param {{ json?: boolean, write?: (line: string) => void, nowMs?: () => number, intervalMs?: number }} [options]
 *   the last three are for tests
 * @returns {Progress}
 */
export function createProgress(options = {}) {
  const json = options.json ?? false;
  const write = options.write ?? ((line) => void process.stderr.write(`${line}\n`));
  const nowMs = options.nowMs ?? (() => performance.now());
  /** @type {Timing[]} */
  const timings = [];
  /**
   * @param {string} line
   * @param {Record<string, unknown>} event
   */
  const say = (line, event) => write(json ? JSON.stringify(event) : line);

  /** @type {Progress['step']} */
  const step = async (title, { estimateSeconds }, run) => {
    const startedMs = nowMs();
    const elapsed = () => Math.round((nowMs() - startedMs) / 100) / 10;
    const estimate = estimateSeconds === undefined ? '' : `about ${formatSeconds(estimateSeconds)}`;
    let detail = '';
    say(`> ${title}${estimate === '' ? '' : ` (${estimate})`}`, {
      event: 'start',
      step: title,
      ...(estimateSeconds === undefined ? {} : { estimateSeconds }),
    });
    const timer = setInterval(() => {
      const what = detail === '' ? '' : `: ${detail}`;
      const of = estimate === '' ? '' : ` of ${estimate}`;
      say(`  ${title}${what}, ${formatSeconds(elapsed())}${of}`, {
        event: 'running',
        step: title,
        seconds: elapsed(),
        ...(detail === '' ? {} : { detail }),
        ...(estimateSeconds === undefined ? {} : { estimateSeconds }),
      });
    }, options.intervalMs ?? INTERVAL_MS);
    let ok = false;
    try {
      const result = await run({
        detail: (text) => {
          detail = text;
        },
      });
      ok = true;
      return result;
    } finally {
      clearInterval(timer);
      const seconds = elapsed();
      timings.push({ title, seconds, ok });
      say(`${ok ? '+' : '!'} ${title}: ${ok ? 'done' : 'failed'} after ${formatSeconds(seconds)}`, {
        event: ok ? 'done' : 'failed',
        step: title,
        seconds,
      });
    }
  };
  return { step, note: (text) => say(`  ${text}`, { event: 'note', text }), timings };
}
