import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { createServer } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import type { ProbeConfig } from '@keelos/proto/stored-config.ts';
import { askProbe } from '@keelos/ts-agent/sys/probe.ts';
import { Openings } from './agent-fixture.ts';
import { HostileServer, send } from './hostile-server.ts';
import { makeCertificate } from './openssl-certificates.ts';

describe('probes', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());
  const certificate = makeCertificate({
    subject: '/CN=server',
    extensions: ['subjectAltName=IP:127.0.0.1,DNS:store.example'],
  });

  /** What a probe says, or why it failed. */
  async function asked(probe: Partial<ProbeConfig>, timeMs = 5_000): Promise<string> {
    const timing = { name: 'p', timeoutSeconds: timeMs / 1_000, periodSeconds: 10 };
    const signal = AbortSignal.timeout(timeMs);
    try {
      return await askProbe({ ...timing, ...probe }, signal);
    } catch (cause) {
      return signal.aborted ? 'late' : `failed: ${cause instanceof Error ? cause.message : cause}`;
    }
  }

  async function listen(server: TcpServer): Promise<number> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    openings.add({ close: () => server.close() });
    return (server.address() as AddressInfo).port;
  }

  it('by TCP', async () => {
    const port = await listen(createServer((socket) => socket.destroy()));
    assert.equal(await asked({ tcp: `127.0.0.1:${port}` }), 'takes connections');
    assert.equal(await asked({ tcp: `localhost:${port}` }), 'takes connections');
    await openings.closeAll();
    assert.match(await asked({ tcp: `127.0.0.1:${port}` }), /^failed: .*ECONNREFUSED/);
  });

  it('by HTTP: any status from 200 to 399', async () => {
    for (const [status, expected] of [
      [200, 'answers 200'],
      [204, 'answers 204'],
      [302, 'answers 302'],
      [400, 'failed: it answers 400'],
      [503, 'failed: it answers 503'],
    ] as const) {
      const server = openings.add(await HostileServer.start((_, s) => send(s, status, {})));
      assert.equal(await asked({ http: server.url('/healthz') }), expected);
      assert.equal(server.asked[0]?.line, 'GET /healthz');
    }
    const silent = openings.add(await HostileServer.start(() => undefined));
    assert.equal(await asked({ http: silent.url() }, 100), 'late');
  });

  it('by HTTPS: with the authorities and the name that it is given', async () => {
    const server = openings.add(await HostileServer.start((_, s) => send(s, 200, {}), certificate));
    const http = server.url();
    const caPem = certificate.certPem;
    assert.match(await asked({ http }), /^failed: .*self-signed/);
    assert.equal(await asked({ http, caPem }), 'answers 200');
    assert.equal(await asked({ http, caPem, serverName: 'store.example' }), 'answers 200');
    assert.match(await asked({ http, caPem, serverName: 'b.example' }), /^failed: .*altnames/);
  });

  /** A gRPC server as others write it. */
  async function grpcServer(secure: boolean): Promise<number> {
    const server = new Server();
    server.addService(serviceDefinition(Health) as never, {
      check: (
        call: { readonly request: { readonly service: string } },
        answer: (error: object | null, value?: object) => void,
      ) => {
        const { service } = call.request;
        if (service === 'gone') answer({ code: 5, details: 'no such service' });
        else if (service !== 'silent') {
          answer(null, { status: service === 'ill' ? Serving.NOT_SERVING : Serving.SERVING });
        }
      },
      watch: () => undefined,
    });
    const { certPem, keyPem } = certificate;
    const pair = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
    const credentials = secure
      ? ServerCredentials.createSsl(null, [pair])
      : ServerCredentials.createInsecure();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    openings.add({ close: () => server.forceShutdown() });
    return port;
  }

  it('by the health protocol of gRPC, against another implementation of it', async () => {
    const port = await grpcServer(false);
    const at = (service: string) => ({ grpc: `grpc://127.0.0.1:${port}${service}` });
    assert.equal(await asked(at('')), 'is serving');
    assert.equal(await asked(at('/shop.v1.Store')), 'is serving');
    assert.equal(await asked(at('/ill')), 'failed: it says NOT_SERVING');
    assert.equal(await asked(at('/gone')), 'failed: it answers with the gRPC status 5');
    assert.equal(await asked(at('/silent'), 300), 'late');
    const tcp = await listen(createServer((socket) => socket.end('SSH-2.0-x\r\n')));
    assert.match(await asked({ grpc: `grpc://127.0.0.1:${tcp}` }), /^failed: /);
    const http = openings.add(await HostileServer.start((_, s) => send(s, 200, {})));
    assert.match(await asked({ grpc: `grpc://127.0.0.1:${http.port}` }, 1_000), /^(failed: |late)/);
  });

  it('by the same with TLS', async () => {
    const port = await grpcServer(true);
    const grpc = `grpcs://127.0.0.1:${port}`;
    const caPem = certificate.certPem;
    assert.equal(await asked({ grpc, caPem }), 'is serving');
    assert.equal(await asked({ grpc, caPem, serverName: 'store.example' }), 'is serving');
    assert.match(await asked({ grpc, caPem, serverName: 'b.example' }), /^failed: .*altnames/);
    assert.match(await asked({ grpc }), /^failed: .*self-signed/);
    const web = openings.add(await HostileServer.start((_, s) => send(s, 200, {}), certificate));
    assert.match(await asked({ grpc: `grpcs://127.0.0.1:${web.port}`, caPem }), /^failed: /);
  });
});
