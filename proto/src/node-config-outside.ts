/** What a schema cannot say about probes, the proxy and the network's far end. */
import { X509Certificate } from 'node:crypto';
import type { ConfigPath, PathProblem } from './config-problem.ts';
import { quoted } from './config-problem.ts';
import { parseIp, parseIpInterface } from './ip-network.ts';
import {
  isHost,
  parseEndpoint,
  parseGrpcTarget,
  parseHttpTarget,
  parseProxy,
} from './service-address.ts';

/** Kinds of probes, and how the target of each is read. */
const TARGETS = {
  tcp: parseEndpoint,
  http: parseHttpTarget,
  grpc: parseGrpcTarget,
} as const satisfies Record<string, (text: string) => unknown>;

const TARGET_WORDS: Readonly<Record<keyof typeof TARGETS, string>> = {
  tcp: 'host:port, for example 192.0.2.10:443 or [2001:db8::10]:443',
  http: 'http:// or https:// with a host, without credentials, spaces and fragment',
  grpc: 'grpc:// or grpcs://, host:port, and perhaps / and the full name of a service',
};

/** A setting of a mapping, when it is text. */
function textOf(value: unknown, key: string): string | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  const text = (value as Readonly<Record<string, unknown>>)[key];
  return typeof text === 'string' ? text : undefined;
}

function has(value: unknown, key: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}

/** Problems of `probes`. */
export function checkProbes(value: unknown): PathProblem[] {
  const seen = new Map<string, number>();
  return (Array.isArray(value) ? value : []).flatMap((probe: unknown, index) => {
    const path: ConfigPath = ['probes', index];
    const name = textOf(probe, 'name');
    const first = name === undefined ? undefined : seen.get(name);
    if (name !== undefined && first === undefined) seen.set(name, index);
    const twice =
      first === undefined
        ? []
        : [
            {
              path: [...path, 'name'],
              message: `the probe ${quoted(name ?? '')} is there already, as probes[${first}]`,
              expected: 'each name once',
            },
          ];
    return [...twice, ...checkKind(probe, path), ...checkTls(probe, path)];
  });
}

function checkKind(probe: unknown, path: ConfigPath): PathProblem[] {
  if (typeof probe !== 'object' || probe === null || Array.isArray(probe)) return [];
  const kinds = (Object.keys(TARGETS) as (keyof typeof TARGETS)[]).filter((kind) =>
    has(probe, kind),
  );
  if (kinds.length !== 1) {
    const found = kinds.length === 0 ? 'none of them' : kinds.join(' and ');
    return [{ path, message: `found ${found}`, expected: 'one of tcp, http, grpc' }];
  }
  return kinds.flatMap((kind) => {
    const text = textOf(probe, kind);
    if (text === undefined || TARGETS[kind](text) !== undefined) return [];
    return [
      {
        path: [...path, kind],
        message: `${quoted(text)} is no target of a probe by ${kind}`,
        expected: TARGET_WORDS[kind],
      },
    ];
  });
}

function checkTls(probe: unknown, path: ConfigPath): PathProblem[] {
  const isSecure = /^(https|grpcs):/.test(textOf(probe, 'http') ?? textOf(probe, 'grpc') ?? '');
  const idle = ['caPem', 'serverName'].flatMap((key) =>
    isSecure || !has(probe, key)
      ? []
      : [
          {
            path: [...path, key],
            atKey: true,
            message: `${key} means nothing for a probe without TLS`,
            expected: 'a target that begins with https:// or grpcs://',
          },
        ],
  );
  const serverName = textOf(probe, 'serverName');
  const wrongName =
    serverName === undefined || isHost(serverName)
      ? []
      : [
          {
            path: [...path, 'serverName'],
            message: `${quoted(serverName)} is no host name`,
            expected: 'a host name or an address',
          },
        ];
  return [...idle, ...wrongName, ...checkPem(textOf(probe, 'caPem'), [...path, 'caPem'])];
}

/** Problems of `update`. */
export function checkUpdate(value: unknown): PathProblem[] {
  const proxy = textOf(value, 'proxy');
  const wrongProxy =
    proxy === undefined || parseProxy(proxy) !== undefined
      ? []
      : [
          {
            path: ['update', 'proxy'],
            // The text may hold a password.
            message: 'this is no URL of a proxy',
            expected: 'http://host:port, and perhaps user:password@ before the host',
          },
        ];
  return [
    ...wrongProxy,
    ...checkNoProxy(value),
    ...checkPem(textOf(value, 'caPem'), ['update', 'caPem']),
  ];
}

function checkNoProxy(value: unknown): PathProblem[] {
  const list = has(value, 'noProxy') ? (value as { readonly noProxy: unknown }).noProxy : [];
  return (Array.isArray(list) ? list : []).flatMap((entry: unknown, index) => {
    if (typeof entry !== 'string') return [];
    const name = entry.startsWith('.') ? entry.slice(1) : entry;
    const isFit =
      isHost(name) || parseIp(entry) !== undefined || parseIpInterface(entry) !== undefined;
    if (isFit) return [];
    return [
      {
        path: ['update', 'noProxy', index],
        message: `${quoted(entry)} is no server`,
        expected: 'a host name, an IP address, or a network such as 192.0.2.0/24',
      },
    ];
  });
}

/** Problems of `health`. */
export function checkHealth(value: unknown): PathProblem[] {
  const target = textOf(value, 'networkTarget');
  if (target === undefined || parseEndpoint(target) !== undefined) return [];
  return [
    {
      path: ['health', 'networkTarget'],
      message: `${quoted(target)} is no service`,
      expected: TARGET_WORDS.tcp,
    },
  ];
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function checkPem(pem: string | undefined, path: ConfigPath): PathProblem[] {
  if (pem === undefined) return [];
  const found = pem.match(CERTIFICATE) ?? [];
  const bad = found.findIndex((text) => !isCertificate(text));
  if (found.length > 0 && bad === -1) return [];
  const message =
    bad === -1 ? 'found no certificate in it' : `certificate ${bad + 1} in it cannot be read`;
  return [{ path, message, expected: 'X.509 certificates in PEM' }];
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
