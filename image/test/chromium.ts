/** A page in a headless Chromium (Debian's), over its debugging protocol on a pipe. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { ensureTools } from '../../scripts/lib/apt.mjs';

/** What must be on the machine. */
export const CHROMIUM = [
  { command: 'chromium', package: 'chromium', why: 'shows the page of the update server' },
  {
    file: '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf',
    package: 'fonts-dejavu-core',
    why: 'letters for the page of the update server',
  },
];

const ANSWER_MS = 30_000;
const FLAGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  ...['--hide-scrollbars', '--force-color-profile=srgb', '--font-render-hinting=none'],
  ...[
    '--no-first-run',
    '--disable-extensions',
    '--disable-background-networking',
    '--mute-audio',
    '--disable-lcd-text',
  ],
];

type Message = Readonly<Record<string, unknown>> & {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
};

/** What a page is shown with. */
export interface PageView {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
  readonly scripts?: boolean;
}

/** A browser with one page. */
export class Chromium {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #session: string | undefined;
  #next = 1;
  #text = '';
  /** Events of the page since it was opened: what it asked for, what its console said. */
  readonly events: Message[] = [];

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    const [, , , , output] = child.stdio;
    (output as Readable).setEncoding('utf8').on('data', (piece: string) => this.#take(piece));
  }

  /** Starts it; installs it first when it is not there. */
  static async open(): Promise<Chromium> {
    await ensureTools(CHROMIUM);
    const profile = await mkdtemp(join(tmpdir(), 'keel-chromium-'));
    const flags = [
      ...FLAGS,
      `--user-data-dir=${profile}`,
      '--remote-debugging-pipe',
      'about:blank',
    ];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const;
    const browser = new Chromium(spawn('chromium', flags, { stdio: [...stdio] }), profile);
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const attached = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = String(attached.sessionId);
    for (const domain of ['Page', 'Network', 'Log', 'Runtime'])
      await browser.send(`${domain}.enable`);
    return browser;
  }

  #take(piece: string): void {
    const parts = (this.#text + piece).split('\0');
    this.#text = parts.pop() ?? '';
    for (const part of parts) {
      const message: Message = JSON.parse(part);
      if (message.id === undefined) this.events.push(message);
      else this.#waiting.get(message.id)?.(message);
    }
  }

  /** Sends a command and waits for its result. */
  send(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = this.#next++;
    const sessionId = this.#session === undefined ? {} : { sessionId: this.#session };
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`${method}: no answer`)), ANSWER_MS);
      this.#waiting.set(id, ({ result = {}, error }) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (error === undefined) done(result);
        else fail(new Error(`${method}: ${error.message}`));
      });
      const [, , , input] = this.#child.stdio;
      (input as Writable).write(`${JSON.stringify({ id, method, params, ...sessionId })}\0`);
    });
  }

  /** Shows a page, and waits until it has loaded. */
  async show(url: string, view: PageView): Promise<void> {
    const { width, height, isDark = false, scripts = false } = view;
    const scheme = { name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' };
    await this.send('Emulation.setScriptExecutionDisabled', { value: !scripts });
    await this.send('Emulation.setEmulatedMedia', { features: [scheme] });
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send('Emulation.setDeviceMetricsOverride', metrics);
    this.events.length = 0;
    await this.send('Page.navigate', { url });
    const endMs = performance.now() + ANSWER_MS;
    while (!this.events.some(({ method }) => method === 'Page.loadEventFired')) {
      if (performance.now() > endMs) throw new Error(`${url} does not load`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Value of an expression in the page. */
  async value(expression: string): Promise<unknown> {
    const params = { expression, returnByValue: true };
    const { result } = await this.send('Runtime.evaluate', params);
    return (result as { value?: unknown }).value;
  }

  /** The page as WebP: half the bytes of its PNG. */
  async picture(): Promise<Buffer> {
    const options = { format: 'webp', quality: 85 };
    const { data } = await this.send('Page.captureScreenshot', options);
    return Buffer.from(String(data), 'base64');
  }

  /** URLs that the page asked for. */
  get requests(): string[] {
    return this.events
      .filter(({ method }) => method === 'Network.requestWillBeSent')
      .map(({ params }) => String((params?.request as { url?: unknown })?.url));
  }

  /** What the browser complains of. */
  get complaints(): string[] {
    return this.events
      .filter(({ method }) => method === 'Log.entryAdded' || method === 'Runtime.exceptionThrown')
      .map(({ params }) => JSON.stringify(params));
  }

  /** Ends it. */
  async close(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGKILL');
    await ended;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
