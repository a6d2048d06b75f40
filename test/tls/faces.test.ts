/** keyless-tls/https and keyless-tls/http2: requests as their users make them, natively and with the keys elsewhere. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { ClientHttp2Session, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import nodeHttps from 'node:https';
import { before, describe, it } from 'node:test';
import nodeTls, { type TLSSocket } from 'node:tls';
import * as keylessHttps from '../../lib/https.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { parity, remoteKey, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  rsa = await authority.issue({ type: 'rsa' });
  p256 = await authority.issue({ type: 'p256' });
});

async function body(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += String(chunk);
  return text;
}

function identity(side: Side, issued: Issued) {
  return { cert: issued.certPem, key: side.key(issued) };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  parity(
    `https with a client certificate and a pool, ${version}`,
    async (side) => {
      const server = side.https.createServer(
        {
          ...identity(side, rsa),
          ca: authority.certPem,
          requestCert: true,
          rejectUnauthorized: true,
          maxVersion: version,
        },
        async (request, response) => {
          const socket = request.socket as TLSSocket;
          const peer = socket.getPeerCertificate().fingerprint256;
          response.end(
            JSON.stringify({ url: request.url, method: request.method, text: await body(request), peer }),
          );
        },
      );
      const port = await listen(server);
      const agent = new side.https.Agent({
        keepAlive: true,
        maxSockets: 1,
        ca: authority.certPem,
        servername: 'localhost',
        ...identity(side, p256),
      });
      const answers: unknown[] = [];
      for (const path of ['/a', '/b', '/c']) {
        const request = side.https.request({ port, host: '127.0.0.1', path, method: 'POST', agent });
        request.end('x'.repeat(50_000));
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        answers.push(response.statusCode, await body(response), request.reusedSocket);
      }
      agent.destroy();
      await close(server);
      return answers;
    },
    2,
  );

  parity(
    `https.get with its own certificate, ${version}`,
    async (side) => {
      const options = {
        ...identity(side, rsa),
        ca: authority.certPem,
        requestCert: true,
        maxVersion: version,
      };
      const server = side.https.createServer(options, (request, response) => {
        response.end(String((request.socket as TLSSocket).authorized));
      });
      const port = await listen(server);
      const request = side.https.get(`https://127.0.0.1:${port}/`, {
        ca: authority.certPem,
        agent: false,
        ...identity(side, p256),
      });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const text = await body(response);
      await close(server);
      return text;
    },
    2,
  );

  parity(
    `http2, many streams at once, ${version}`,
    async (side) => {
      const server = side.http2.createSecureServer({ ...identity(side, p256), maxVersion: version });
      server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
        stream.respond({ ':status': 200 });
        stream.end(`path ${headers[':path']}`);
      });
      const port = await listen(server);
      const session: ClientHttp2Session = side.http2.connect(`https://localhost:${port}`, {
        ca: authority.certPem,
        lookup: (
          _host: string,
          _options: unknown,
          done: (error: null, address: string, family: number) => void,
        ) => done(null, '127.0.0.1', 4),
        family: 4,
      } as object);
      const texts = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const stream = session.request({ ':path': `/${index}` });
          let text = '';
          stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
          await once(stream, 'end');
          return text;
        }),
      );
      const { alpnProtocol } = session;
      session.close();
      await once(session, 'close');
      await close(server);
      return { texts, alpnProtocol };
    },
    1,
  );

  parity(
    `http2 server with HTTP/1 clients, ${version}`,
    async (side) => {
      const server = side.http2.createSecureServer(
        { ...identity(side, rsa), allowHTTP1: true, maxVersion: version },
        (request, response) => response.end(request.httpVersion),
      );
      const port = await listen(server);
      const request = side.https.get(`https://127.0.0.1:${port}/`, { ca: authority.certPem, agent: false });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const text = await body(response);
      await close(server);
      return text;
    },
    1,
  );
}

describe('our faces', () => {
  it("return Node's own objects", () => {
    const server = keylessHttps.createServer({ cert: rsa.certPem, key: remoteKey(rsa.keyPem, 'turn') });
    assert.ok(server instanceof nodeHttps.Server);
    assert.ok(server instanceof nodeTls.Server);
  });

  it('never share a pooled connection between two identities', () => {
    const agent = new keylessHttps.Agent();
    const options = (issued: Issued) => ({
      host: 'h',
      cert: issued.certPem,
      key: remoteKey(issued.keyPem, 'turn'),
    });
    const names = new Set<string>();
    const original = agent.getName.bind(agent);
    agent.getName = (value) => {
      const name = original(value);
      names.add(name);
      return name;
    };
    for (const issued of [rsa, p256]) {
      keylessHttps
        .request({ ...options(issued), agent, port: 9 } as keylessHttps.RequestOptions)
        .on('error', () => {})
        .destroy();
    }
    assert.equal(names.size, 2);
  });
});
