/** Apps that know nothing of keyless-tls, natively, under register and under isolate: the same answers. */
import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { AppFolders, WAYS, type Way } from '../helpers/app-folders.ts';

interface Socket extends EventEmitter {
  send(text: string): void;
  close(): void;
}
/** The package brings no types. */
const { WebSocket } = createRequire(import.meta.url)('ws') as {
  WebSocket: new (url: string, options: { ca: string }) => Socket;
};

let folders: AppFolders;
before(async () => {
  folders = await AppFolders.make();
});
after(() => folders.end());

/** What a visitor learns of a server: the same whatever the app runs under. */
type Visit = (port: number, ca: string) => Promise<unknown>;

function connectionOf(socket: TLSSocket): unknown {
  const { fingerprint256 } = socket.getPeerCertificate();
  return [socket.getProtocol(), socket.getCipher().name, socket.alpnProtocol, fingerprint256];
}

async function ask(port: number, ca: string, options: https.RequestOptions, body?: string): Promise<unknown> {
  const request = https.request({ port, host: 'localhost', ca, agent: false, ...options });
  request.end(body);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  const connection = connectionOf(response.socket as TLSSocket);
  return [response.statusCode, response.headers['content-type'], await text(response), connection];
}

const echo: Visit = (port, ca) =>
  ask(port, ca, { method: 'POST', path: '/echo', headers: { 'content-type': 'text/plain' } }, 'a body');
const page: Visit = (port, ca) => ask(port, ca, {});
const tls12: Visit = (port, ca) => ask(port, ca, { maxVersion: 'TLSv1.2' });

async function overHttp2(port: number, ca: string): Promise<unknown> {
  const session = http2.connect(`https://localhost:${port}`, { ca });
  const request = session.request({ ':path': '/' });
  const [headers] = (await once(request, 'response')) as [http2.IncomingHttpHeaders];
  const answer = [headers[':status'], await text(request), connectionOf(session.socket as TLSSocket)];
  session.close();
  return answer;
}

async function webSocket(port: number, ca: string): Promise<unknown> {
  const socket = new WebSocket(`wss://localhost:${port}`, { ca });
  await once(socket, 'open');
  socket.send('hello');
  const [data] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  await once(socket, 'close');
  return String(data);
}

function grpc(port: number, ca: string): Promise<unknown> {
  const client = new Client(`localhost:${port}`, credentials.createSsl(Buffer.from(ca)));
  return new Promise((resolve, reject) => {
    const [write, read] = [(value: string) => Buffer.from(value), String];
    client.makeUnaryRequest('/example.Greeter/Hello', write, read, 'you', (error, answer) => {
      client.close();
      if (error) reject(error);
      else resolve(answer);
    });
  });
}

const SERVERS: Readonly<Record<string, readonly Visit[]>> = {
  'express.mjs': [page, echo, tls12],
  'fastify.mjs': [page, echo, tls12, overHttp2],
  'koa.mjs': [page, echo, tls12],
  'nest.mjs': [page, echo, tls12],
  'vite.mjs': [tls12],
  'ws.mjs': [page, webSocket],
  'grpc.mjs': [grpc],
};

/** Headers that tell the time are not compared: only what a visit returns is. */
async function story(way: Way, app: string, visits: readonly Visit[]): Promise<unknown> {
  const program = folders.run(way, app);
  const [, port] = await program.prints(/listening (\d+)/);
  const told: unknown[] = [];
  for (const visit of visits) told.push(await visit(Number(port), folders.setup.authority.certPem));
  const { code, signal, stderr } = await program.end('SIGTERM');
  return { told, ended: signal ?? code, stderr };
}

for (const [app, visits] of Object.entries(SERVERS)) {
  describe(app, () => {
    let natively: unknown;
    before(async () => {
      natively = await story('natively', app, visits);
    });
    for (const way of WAYS.slice(1)) {
      test(`answers and ends under ${way} as it does natively`, async () => {
        const asked = folders.signatures();
        assert.deepEqual(await story(way, app, visits), natively);
        assert.equal(folders.signatures() > asked, way === 'register', 'whether the key server was asked');
      });
    }
  });
}

describe('clients with certificates', () => {
  let server: https.Server;
  let url: string;
  before(async () => {
    const { certPem: cert, keyPem: key } = folders.setup.sites.p256!;
    const ca = folders.setup.authority.certPem;
    server = https.createServer({ cert, key, ca, requestCert: true }, ({ socket }, response) => {
      const { fingerprint256 } = (socket as tls.TLSSocket).getPeerCertificate();
      response.end(`you are ${fingerprint256}`);
    });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    url = `https://localhost:${(server.address() as import('node:net').AddressInfo).port}/`;
  });
  after(() => void server.close());

  for (const app of ['undici-client.mjs', 'axios-client.mjs']) {
    for (const way of WAYS) {
      test(`${app} shows its certificate ${way === 'natively' ? way : `under ${way}`}`, async () => {
        const { fingerprint256 } = new (await import('node:crypto')).X509Certificate(
          folders.setup.sites.rsa!.certPem,
        );
        const asked = folders.signatures();
        const { code, stdout, stderr } = await folders.run(way, app, [url]).ended;
        assert.deepEqual(
          { code, stdout, stderr },
          { code: 0, stdout: `200 you are ${fingerprint256}\n`, stderr: '' },
        );
        assert.equal(folders.signatures() > asked, way === 'register', 'whether the key server was asked');
      });
    }
  }
});
