/**
 * The page for people of an update server: releases, channels, deltas with what they save, and commands to copy. One
 * document without scripts and without anything from elsewhere. Pure.
 */
import { createHash } from 'node:crypto';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import type { Channel, Release, ReleaseDelta } from '@keelos/proto/channel.ts';
import { bundlePath, channelPath, deltaPath, newestRelease } from '@keelos/proto/channel.ts';

/** What the page shows. */
export interface PageFacts {
  readonly channels: readonly Channel[];
  /** Beginning of every URL, without a slash at its end. */
  readonly origin: string;
  readonly nowSeconds: number;
  /** Whether a delta to the newest release is made when it is asked for. */
  readonly isMakingDeltas: boolean;
  readonly problems: readonly string[];
}

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--good:#1a7f37;--bad:#c0392b}
@media (prefers-color-scheme:dark){:root{--good:#4cc76a;--bad:#ff8c7a}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem;margin:0}
h2{font-size:1.25rem;margin:2rem 0 .25rem;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.25rem 0 .25rem}
p{margin:.25rem 0 .5rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.5rem .75rem;margin:.25rem 0 .75rem;white-space:pre-wrap;overflow-wrap:anywhere;user-select:all}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.25rem 0 .5rem}
th,td{text-align:left;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
.hash{color:GrayText;overflow-wrap:anywhere;font-size:13px}
.tag{border:1px solid var(--line);border-radius:1em;padding:0 .6em;font-size:.8rem;font-weight:normal}
.good{color:var(--good)}
.bad{color:var(--bad);font-weight:600}
summary{cursor:pointer}
footer{margin-top:2.5rem;color:GrayText;font-size:.9rem}
`;

/** Content-Security-Policy of the page: its own style, and nothing else. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A text in HTML. */
function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (letter) => names[letter] ?? letter);
}

/** The page. */
export function releasePage(facts: PageFacts): string {
  const { channels, problems } = facts;
  const warnings = problems.map((problem) => `<p class="bad">${escaped(problem)}</p>`);
  const body =
    channels.length === 0
      ? '<p>No release has been published yet.</p>'
      : channels.map((channel) => channelSection(channel, facts)).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>KeelOS releases</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>KeelOS releases</h1>
<p>Signed bundles for nodes. A node judges every release by itself; nothing here needs to be believed.</p>
</header>
<main>
${[...warnings, body].join('\n')}
</main>
<footer>The list of a channel is signed, and ends by itself. Machines read
${channels.map(({ channel }) => link(channelPath(channel), channelPath(channel))).join(', ') || 'channels/'}, <a href="/healthz">/healthz</a> and <a href="/metrics">/metrics</a>.</footer>
</body>
</html>
`;
}

function link(path: string, text: string): string {
  const target = path.split('/').map(encodeURIComponent).join('/');
  return `<a href="/${escaped(target)}">${escaped(text)}</a>`;
}

function channelSection(channel: Channel, facts: PageFacts): string {
  const { number, publishedAt, expiresAt, releases } = channel;
  const isExpired = facts.nowSeconds > expiresAt;
  const until = isExpired
    ? `<span class="bad">expired ${time(expiresAt)}: nodes take no release from it</span>`
    : `valid until ${time(expiresAt)}`;
  const newest = releases.filter((release) => newestRelease(channel, release.arch) === release);
  const older = releases.filter((release) => !newest.includes(release));
  const list =
    releases.length === 0
      ? '<p>No release.</p>'
      : newest.map((release) => newestArticle({ channel, release }, facts)).join('\n');
  return `<section id="channel-${escaped(channel.channel)}">
<h2>Channel ${escaped(channel.channel)}</h2>
<p>Number ${number}, published ${time(publishedAt)}, ${until}.</p>
${list}
${olderTable(older)}
</section>`;
}

function time(seconds: number): string {
  const text = new Date(seconds * 1000).toISOString();
  return `<time datetime="${text}">${text.slice(0, 16).replace('T', ' ')} UTC</time>`;
}

function newestArticle(
  { channel, release }: { readonly channel: Channel; readonly release: Release },
  facts: PageFacts,
): string {
  const { version, arch, bundle, epoch } = release;
  const url = `${facts.origin}/${bundlePath(release)}`;
  return `<article>
<h3>${escaped(version)} <span class="tag">${arch}</span> <span class="tag good">newest</span></h3>
<pre>osctl update --source ${escaped(url)}</pre>
<p>${link(bundlePath(release), 'Bundle')}, ${formatBytes(bundle.size)}, security epoch ${epoch}.</p>
<p class="hash">bundle SHA-256 <code>${bundle.sha256}</code><br>root hash <code>${release.rootHash}</code></p>
${deltaTable({ channel, release }, facts)}
</article>`;
}

function deltaTable(
  { channel, release }: { readonly channel: Channel; readonly release: Release },
  { isMakingDeltas }: PageFacts,
): string {
  const froms = channel.releases
    .filter(({ arch, number }) => arch === release.arch && number < release.number)
    .map(({ version }) => version);
  const made = new Map(release.deltas.map((delta) => [delta.from, delta]));
  const listed = froms.filter((from) => made.has(from) || isMakingDeltas);
  // A release that was withdrawn may still run somewhere.
  const others = release.deltas.map(({ from }) => from).filter((from) => !froms.includes(from));
  const rows = [...listed, ...others].map((from) => deltaRow({ from, release }, made.get(from)));
  if (rows.length === 0) return '<p>No deltas.</p>';
  return `<div class="scroll"><table>
<thead><tr><th>Delta from</th><th class="n">Size</th><th class="n">Smaller</th><th class="n">Saved</th></tr></thead>
<tbody>${rows.join('')}</tbody>
</table></div>`;
}

function deltaRow(
  { from, release }: { readonly from: string; readonly release: Release },
  delta: ReleaseDelta | undefined,
): string {
  const name = link(deltaPath({ ...release, from }), from);
  if (delta === undefined) {
    return `<tr><td>${name}</td><td class="n" colspan="3">made when it is asked for</td></tr>`;
  }
  const full = release.bundle.size;
  const saved = ((1 - delta.size / full) * 100).toFixed(1);
  const times = full / delta.size;
  const smaller = `${times >= 10 ? times.toFixed(0) : times.toFixed(1)} times`;
  return `<tr><td>${name}</td><td class="n">${formatBytes(delta.size)}</td><td class="n">${smaller}</td><td class="n good">${saved} %</td></tr>`;
}

function olderTable(releases: readonly Release[]): string {
  if (releases.length === 0) return '';
  const rows = releases.map((release) => {
    const name = link(bundlePath(release), release.version);
    const size = formatBytes(release.bundle.size);
    return `<tr><td>${name}</td><td>${release.arch}</td><td class="n">${release.epoch}</td><td class="n">${size}</td><td class="hash"><code>${release.bundle.sha256}</code></td></tr>`;
  });
  return `<details><summary>${releases.length} older ${releases.length === 1 ? 'release' : 'releases'}</summary>
<div class="scroll"><table>
<thead><tr><th>Version</th><th>Architecture</th><th class="n">Epoch</th><th class="n">Size</th><th>SHA-256</th></tr></thead>
<tbody>${rows.join('')}</tbody>
</table></div></details>`;
}

/** The origin that a Host header names; undefined when it is none, or none that may stand in a page. */
export function originOf(scheme: 'http' | 'https', host: string | undefined): string | undefined {
  const isHost = /^([a-z0-9]([a-z0-9.-]{0,252})|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?$/i;
  return host !== undefined && isHost.test(host) ? `${scheme}://${host}` : undefined;
}
