/** The page of the update server: its text, and how a browser without scripts shows it. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { originOf, type PageFacts, releasePage } from '@keelos/image/core/release-page.ts';
import { ReleaseCatalog } from '@keelos/image/shell/release-catalog.ts';
import type { UpdateServer } from '@keelos/image/shell/serve.ts';
import type { Channel } from '@keelos/proto/channel.ts';
import { bundlePath, channelPath } from '@keelos/proto/channel.ts';
import {
  PUBLISHED,
  sampleChannel,
  sampleHash,
  sampleKey,
  sampleRelease,
  signedChannel,
} from '../../proto/test/channel-samples.ts';
import { ask } from './ask.ts';
import { Chromium } from './chromium.ts';
import { startServer } from './served-directory.ts';

/** With KEEL_PICTURES=1 the picture of the docs is made anew. */
const PICTURE = fileURLToPath(
  new URL('../../docs/platform-installation/update-server.webp', import.meta.url),
);
const PICTURE_BYTES_MAX = 65_536;
const NOW_SECONDS = PUBLISHED + 3_600;

const delta = (from: string, size: number) => ({ from, sha256: sampleHash(from), size });
const channel = sampleChannel({
  number: 12,
  releases: [
    sampleRelease({
      version: '0.3.1',
      number: 12,
      bundle: { sha256: sampleHash('0.3.1'), size: 51_904_512 },
      deltas: [delta('0.2.4', 9_120_400), delta('0.3.0', 241_344)],
    }),
    sampleRelease({ version: '0.3.0', number: 9 }),
    sampleRelease({ version: '0.2.4', number: 6 }),
    sampleRelease({ version: '0.2.3', number: 4 }),
  ],
});
const facts: PageFacts = {
  channels: [channel],
  origin: 'https://updates.example.org',
  nowSeconds: NOW_SECONDS,
  isMakingDeltas: true,
  problems: [],
};

describe('the page of the update server: its text', () => {
  it('shows releases, deltas with what they save, and the command to copy', () => {
    const page = releasePage(facts);
    const url = `https://updates.example.org/${bundlePath({ version: '0.3.1', arch: 'x86_64' })}`;
    for (const text of [
      `<pre>osctl update --source ${url}</pre>`,
      '215 times</td><td class="n good">99.5 %',
      '5.7 times</td><td class="n good">82.4 %',
      'made when it is asked for',
      '3 older releases',
      'Number 12, published',
      sampleHash('0.3.1'),
      '<a href="/releases/0.3.1/keelos-0.3.0-0.3.1-x86_64.kdelta">0.3.0</a>',
    ]) {
      assert.ok(page.includes(text), text);
    }
  });

  it('has no script, no handler and nothing from elsewhere', () => {
    const page = releasePage(facts);
    assert.doesNotMatch(
      page,
      /<script|<img|<link|<iframe|<object|<embed|@import|url\(|\son[a-z]+=|javascript:/i,
    );
    for (const [, target = ''] of page.matchAll(/(?:href|src|action)="([^"]*)"/g)) {
      assert.match(target, /^\/[^/]/, target);
    }
  });

  it('shows no text as markup', () => {
    const evil = '<b>"&\'</b>';
    const page = releasePage({ ...facts, origin: `https://${evil}`, problems: [evil] });
    assert.doesNotMatch(page, /<b>/);
    assert.equal(page.split('&lt;b&gt;&quot;&amp;&#39;&lt;/b&gt;').length, 3);
  });

  it('says that a channel has expired, that there is none, and that there is no release', () => {
    const later = { ...facts, nowSeconds: channel.expiresAt + 1 };
    assert.match(releasePage(later), /class="bad">expired .*nodes take no release/);
    assert.match(releasePage({ ...facts, channels: [] }), /No release has been published yet/);
    const empty: Channel = { ...channel, releases: [] };
    assert.match(releasePage({ ...facts, channels: [empty] }), /No release\./);
    assert.match(releasePage({ ...facts, isMakingDeltas: false }), /<td class="n">236 KiB/);
  });

  it('takes the origin from a Host header that is one, and from no other', () => {
    assert.equal(originOf('https', 'updates.example.org:8443'), 'https://updates.example.org:8443');
    assert.equal(originOf('http', '[fe80::1]:80'), 'http://[fe80::1]:80');
    for (const host of [
      undefined,
      '',
      'a b',
      'x/y',
      '"><b>',
      'x:y',
      'a@b',
      '-x',
      'x'.repeat(300),
    ]) {
      assert.equal(originOf('http', host), undefined, host);
    }
  });
});

describe('the page of the update server: in Chromium, without scripts', function () {
  this.timeout(300_000);

  let folder = '';
  let server: UpdateServer;
  let browser: Chromium;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-page-'));
    await mkdir(join(folder, 'channels'));
    await writeFile(join(folder, channelPath('stable')), signedChannel(channel, [sampleKey('k')]));
    const nowMs = () => NOW_SECONDS * 1000;
    const options = { catalog: new ReleaseCatalog(folder, nowMs), nowMs };
    ({ server } = await startServer(folder, { ...options, publicUrl: facts.origin }));
    browser = await Chromium.open();
  });
  after(async () => {
    await browser?.close();
    await server?.close(0);
    await rm(folder, { recursive: true });
  });

  const show = (view: Parameters<Chromium['show']>[1]) => browser.show(`${server.url}/`, view);

  it('loads with one request, and breaks none of its own rules', async () => {
    await show({ width: 900, height: 800 });
    const requests = browser.requests.filter((url) => !url.endsWith('/favicon.ico'));
    assert.deepEqual(requests, [`${server.url}/`]);
    const complaints = browser.complaints.filter((text) => !text.includes('favicon.ico'));
    assert.deepEqual(complaints, []);
    const policy = String((await ask(`${server.url}/`)).headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; style-src 'sha256-/);
  });

  it('is styled: its own style passes its policy', async () => {
    await show({ width: 900, height: 800 });
    assert.equal(
      await browser.value('getComputedStyle(document.querySelector("pre")).userSelect'),
      'all',
    );
    assert.equal(await browser.value('document.title'), 'KeelOS releases');
  });

  it('shows what there is to read, and opens the older releases without a script', async () => {
    await show({ width: 900, height: 800 });
    const text = String(await browser.value('document.body.innerText'));
    assert.match(text, /Channel stable/);
    assert.match(text, /osctl update --source https:\/\/updates\.example\.org\/releases\/0\.3\.1/);
    assert.match(text, /0\.3\.0\s+236 KiB\s+215 times\s+99\.5 %/);
    assert.doesNotMatch(text, /\b0\.2\.3\b[^\n]*x86_64/);
    const place = JSON.parse(
      String(
        await browser.value(
          '(({x,y}) => JSON.stringify({x,y}))(document.querySelector("summary").getBoundingClientRect())',
        ),
      ),
    );
    const mouse = { x: place.x + 5, y: place.y + 5, button: 'left', clickCount: 1 };
    await browser.send('Input.dispatchMouseEvent', { ...mouse, type: 'mousePressed' });
    await browser.send('Input.dispatchMouseEvent', { ...mouse, type: 'mouseReleased' });
    assert.match(String(await browser.value('document.body.innerText')), /\b0\.2\.3\b[^\n]*x86_64/);
  });

  for (const [name, view] of [
    ['a telephone', { width: 360, height: 740 }],
    ['a wide screen', { width: 1920, height: 1080 }],
    ['a telephone in the dark', { width: 360, height: 740, isDark: true }],
  ] as const) {
    it(`needs no scrolling to the side on ${name}`, async () => {
      await show(view);
      const width = await browser.value('document.documentElement.scrollWidth');
      assert.ok(Number(width) <= view.width, `${width} of ${view.width}`);
    });
  }

  it('can be read in the light and in the dark', async () => {
    const luminances = [];
    for (const isDark of [false, true]) {
      await show({ width: 900, height: 800, isDark });
      const colour = await browser.value('getComputedStyle(document.querySelector("h1")).color');
      luminances.push(Number(/\d+/.exec(String(colour))?.[0]));
    }
    assert.deepEqual(luminances, [0, 255]);
  });

  it('makes a picture, and the docs have one', async () => {
    await show({ width: 860, height: 700 });
    const picture = await browser.picture();
    assert.ok(picture.length < PICTURE_BYTES_MAX, `${picture.length} bytes`);
    if (process.env.KEEL_PICTURES === '1') await writeFile(PICTURE, picture);
    for (const each of [picture, await readFile(PICTURE)]) {
      assert.equal(each.toString('latin1', 0, 4) + each.toString('latin1', 8, 12), 'RIFFWEBP');
    }
  });
});
