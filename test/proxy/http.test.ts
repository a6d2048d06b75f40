/** Requests through `keyless-tls proxy`: what the backend gets, what the client gets, and what neither may. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createServer as createTcpServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { closed } from '../helpers/closed.ts';
import { lastingPort } from '../helpers/lasting-port.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let port: number;
let backend: http.Server;
/** What the backend was asked since the last look. */
let seen: { line: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
let onRequest: http.RequestListener | undefined;
const silent = createTcpServer();

const answer: http.RequestListener = async (request, response) => {
  if (onRequest !== undefined) {
    onRequest(request, response);
    return;
  }
  const body = await text(request);
  seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
  response.setHeader('set-cookie', ['a=1', 'b=2']);
  response.setHeader('x-own', 'kept');
  response.setHeader('connection', 'x-secret');
  response.setHeader('x-secret', 'between neighbours');
  response.writeHead(201, 'Made').end(`${request.method} ${body.length}`);
};

before(async () => {
  folder = await HostsFolder.make();
  await Promise.all([
    folder.add('www', ['localhost', '*.example.test']),
    folder.add('other', ['other.test']),
    folder.add('down', ['down.test']),
    folder.add('slow', ['slow.test']),
  ]);
  backend = http.createServer(answer);
  proxy = new ProxyProcess(folder, [
    ...['--backend', `http://127.0.0.1:${await portOf(backend)}`],
    ...['--backend', `down=http://127.0.0.1:${await lastingPort()}`],
    ...['--backend', `slow.test=http://127.0.0.1:${await portOf(silent)}`],
    ...['--backend-timeout', '2000'],
  ]);
  port = await proxy.port();
});
after(async () => {
  assert.equal(await proxy.end(), 0);
  backend.closeAllConnections();
  backend.close();
  silent.close();
  folder.remove();
});

function look(): typeof seen {
  const all = seen;
  seen = [];
  return all;
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

type Ask = (options: https.RequestOptions, body?: string) => Promise<Answer>;

async function overHttp1(options: https.RequestOptions, body?: string): Promise<Answer> {
  const request = https.request({
    ...{ port, host: '127.0.0.1', servername: 'localhost', ca: folder.authority.certPem, agent: false },
    ...options,
    headers: { host: options.servername ?? 'localhost', ...options.headers },
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

async function overHttp2(
  { method = 'GET', path = '/', headers, servername = 'localhost' }: https.RequestOptions,
  body?: string,
): Promise<Answer> {
  const session = http2.connect(`https://localhost:${port}`, {
    ...{ ca: folder.authority.certPem, servername, host: '127.0.0.1' },
    checkServerIdentity: () => undefined,
  });
  session.on('error', () => undefined);
  const { host = servername, ...rest } = (headers ?? {}) as Record<string, string>;
  const pseudo = { ':method': method, ':path': String(path), ':authority': host };
  const stream = session.request({ ...pseudo, ...rest }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  try {
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    return { status: Number(head[':status']), headers: head, body: await text(stream) };
  } finally {
    session.close();
  }
}

for (const [version, ask] of [
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
] as const satisfies readonly (readonly [string, Ask])[]) {
  describe(version, () => {
    test('a request and its answer pass, but for what is between neighbours', async () => {
      const headers = {
        'x-forwarded-for': '6.6.6.6',
        'x-real-ip': '6.6.6.6',
        forwarded: 'for=6.6.6.6',
        'x-forwarded-proto': 'http',
        'x-forwarded-prefix': '/admin',
        x_forwarded_for: '6.6.6.6',
        cookie: 'c=3',
        te: 'trailers',
        ...(version === 'HTTP/1.1' ? { connection: 'close, x-hop', 'x-hop': 'mine', 'keep-alive': '5' } : {}),
      };
      const got = await ask({ method: 'PUT', path: '/a/b?c=d', headers }, 'body');
      assert.deepEqual([got.status, got.body], [201, 'PUT 4']);
      assert.deepEqual(got.headers['set-cookie'], ['a=1', 'b=2']);
      assert.equal(got.headers['x-own'], 'kept');
      assert.equal(got.headers['x-secret'], undefined);
      const [{ line, headers: passed, body }] = look() as [(typeof seen)[number]];
      assert.deepEqual([line, body], ['PUT /a/b?c=d', 'body']);
      const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...rest } = passed;
      assert.deepEqual(rest, {
        host: 'localhost',
        cookie: 'c=3',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': 'localhost',
        'x-forwarded-proto': 'https',
      });
    });

    test('bodies of a megabyte, of methods that have none by habit, and none at all', async () => {
      const long = 'x'.repeat(1_048_576);
      assert.equal((await ask({ method: 'POST' }, long)).body, 'POST 1048576');
      const chunked = version === 'HTTP/1.1' ? { 'transfer-encoding': 'chunked' } : {};
      assert.equal((await ask({ method: 'GET', headers: chunked }, 'hidden')).body, 'GET 6');
      assert.equal(
        (await ask({ method: 'DELETE', headers: chunked }, 'GET /smuggled HTTP/1.1\r\n\r\n')).body,
        'DELETE 26',
      );
      const { status, body, headers } = await ask({ method: 'HEAD' });
      assert.deepEqual([status, body, headers['x-own']], [201, '', 'kept']);
      assert.deepEqual(
        look().map(({ line }) => line),
        ['POST /', 'GET /', 'DELETE /', 'HEAD /'],
      );
    });

    test('a name that its connection was not made for is misdirected', async () => {
      assert.equal((await ask({ headers: { host: 'a.example.test:8443' } })).status, 201);
      for (const host of [
        'other.test',
        'a.b.example.test',
        'unknown.test',
        '127.0.0.1',
        '[::1]',
        'x'.repeat(300),
      ])
        assert.equal((await ask({ headers: { host } })).status, 421, host);
      assert.equal(look().length, 1);
    });

    test('methods for proxies of another kind are not implemented', async () => {
      assert.equal((await ask({ method: 'TRACE' })).status, 501);
      assert.deepEqual(look(), []);
    });

    test('a backend that is down is 502, a silent one 504; others go on', async () => {
      const [down, slow, fine] = await Promise.all([
        ask({ servername: 'down.test' }),
        ask({ servername: 'slow.test', method: 'POST' }, 'body'),
        ask({}),
      ]);
      assert.deepEqual([down.status, slow.status, fine.status], [502, 504, 201]);
      assert.deepEqual([down.body, slow.body], ['', '']);
      look();
    });

    test('a backend that breaks off in its body breaks off the answer: it is not taken for whole', async () => {
      onRequest = (_, response) => {
        response.write('half of it');
        setImmediate(() => response.destroy());
      };
      try {
        // Where a length was promised or chunks were, the client is told (RFC 9112 §8, RFC 9113 §5.4.2).
        await assert.rejects(ask({}), /aborted|ECONNRESET|ERR_HTTP2_STREAM_ERROR|socket hang up/);
      } finally {
        onRequest = undefined;
      }
    });
  });
}

/** Asks the backend, which answers without an end; who has read a part of it goes. */
async function askAndGo(
  ALPNProtocols: readonly string[],
  ask: (socket: tls.TLSSocket) => Promise<unknown>,
): Promise<void> {
  const asked = new Promise<http.IncomingMessage>((resolve) => {
    onRequest = (incoming, response) => {
      const timer = setInterval(() => response.write('more'), 20);
      response.on('close', () => clearInterval(timer));
      resolve(incoming);
    };
  });
  try {
    const own = { port, servername: 'localhost', ca: folder.authority.certPem };
    const socket = tls.connect({ ...own, ALPNProtocols: [...ALPNProtocols] });
    await once(socket, 'secureConnect');
    const [{ socket: connection }] = await Promise.all([asked, ask(socket)]);
    const gone = closed(connection);
    socket.destroy();
    await gone;
  } finally {
    onRequest = undefined;
  }
}

test('a client that goes takes its request to the backend with it', { timeout: 120_000 }, async () => {
  await askAndGo(['http/1.1'], (socket) => {
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    return once(socket, 'data');
  });
  await askAndGo(['h2'], async (socket) => {
    const session = http2.connect('https://localhost', { createConnection: () => socket });
    session.on('error', () => undefined);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    await once(stream, 'data');
    // Nothing else is on its way, to which the closed connection would answer with a reset.
    await new Promise<void>((resolve) => session.ping(() => resolve()));
  });
});

/** Requests go through another proxy, to that backend. @returns ends both */
async function through(
  server: Server,
  scheme: string,
  more: readonly string[] = [],
): Promise<() => Promise<void>> {
  const url = `${scheme}://localhost:${await portOf(server)}`;
  const other = new ProxyProcess(folder, ['--backend', url, ...more]);
  const first = port;
  port = await other.port();
  return async () => {
    port = first;
    assert.equal(await other.end(), 0);
    server.close();
  };
}

test('a kept connection that the backend has closed meanwhile is not the client’s problem', async () => {
  let answered = 0;
  const forgetful = createTcpServer((socket) => {
    let first = true;
    socket
      .on('error', () => undefined)
      .on('data', () => {
        if (!first) {
          socket.resetAndDestroy();
          return;
        }
        [first, answered] = [false, answered + 1];
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
  });
  const end = await through(forgetful, 'http');
  assert.equal((await overHttp1({})).body, 'ok');
  assert.equal((await overHttp1({})).body, 'ok');
  // What has a body, or is not idempotent, may have arrived: it is not sent twice.
  assert.equal((await overHttp1({ method: 'POST' }, 'body')).status, 502);
  assert.equal((await overHttp1({})).body, 'ok');
  assert.equal((await overHttp1({ method: 'POST' })).status, 502);
  assert.equal((await overHttp1({})).body, 'ok');
  assert.equal((await overHttp1({ method: 'PUT' })).body, 'ok');
  assert.equal(answered, 5);
  await end();
});

test('what is told of requests: no query, escaped, with their end', async () => {
  await overHttp1({ path: '/path?token=secret' });
  const event = await proxy.event('request', ({ path }) => path === '/path');
  assert.deepEqual(
    {
      host: event.host,
      client: event.client,
      method: event.method,
      status: event.status,
      version: event.version,
    },
    { host: 'www', client: '127.0.0.1', method: 'GET', status: 201, version: 'HTTP/1.1' },
  );
  assert.equal(typeof event.ms, 'number');
  assert.ok(!JSON.stringify(proxy.events).includes('secret'));
  const failed = await proxy.event('request', ({ host }) => host === 'slow');
  assert.deepEqual([failed.status, failed.error], [504, 'timeout']);
  look();
});

describe('backends over TLS and HTTP/2', () => {
  test('h2c and h2: streams, trailers and resets', async () => {
    const issued = await folder.authority.issue({ type: 'p256' });
    for (const [scheme, server] of [
      ['h2c', http2.createServer()],
      ['h2', http2.createSecureServer({ cert: issued.certPem, key: issued.keyPem })],
    ] as const) {
      server.on('stream', (stream, headers) => {
        stream.on('error', () => undefined);
        if (headers[':path'] === '/reset') {
          stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
          return;
        }
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.pipe(stream);
      });
      const end = await through(server, scheme, ['--backend-ca', folder.file('ca.crt')]);
      const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      let trailers: http2.IncomingHttpHeaders | undefined;
      stream.on('trailers', (fields) => {
        trailers = fields;
      });
      stream.end('echo');
      assert.equal(await text(stream), 'echo');
      assert.equal(trailers?.['grpc-status'], '0');
      const reset = session.request({ ':path': '/reset' });
      const [head] = (await once(reset, 'response')) as [http2.IncomingHttpHeaders];
      assert.equal(head[':status'], 502);
      reset.resume();
      await once(reset, 'close');
      assert.equal((await overHttp1({ method: 'POST' }, 'over HTTP/1.1')).body, 'over HTTP/1.1');
      session.close();
      await end();
    }
  });

  test('https: the backend’s certificate is verified against its own name, and ours is shown', async () => {
    const issued = await folder.authority.issue({ type: 'p256' });
    const client = await folder.authority.issue({ type: 'p256', usage: 'client', cn: 'the proxy' });
    const { writeFileSync } = await import('node:fs');
    writeFileSync(folder.file('client.crt'), client.certPem);
    writeFileSync(folder.file('client.key'), client.keyPem, { mode: 0o600 });
    const options = {
      cert: issued.certPem,
      key: issued.keyPem,
      ca: folder.authority.certPem,
      requestCert: true,
    };
    const server = https.createServer(options, ({ socket }, response) => {
      const { servername, getPeerCertificate } = socket as tls.TLSSocket & { servername: string };
      response.end(`${servername} ${getPeerCertificate.call(socket).subject.CN}`);
    });
    const mine = ['--backend-cert', folder.file('client.crt'), '--backend-key', folder.file('client.key')];
    const end = await through(server, 'https', ['--backend-ca', folder.file('ca.crt'), ...mine]);
    const { body } = await overHttp1({ headers: { host: 'a.example.test' }, servername: 'a.example.test' });
    assert.equal(body, 'localhost the proxy');
    await end();
    const untrusted = await through(https.createServer(options), 'https', mine);
    assert.equal((await overHttp1({})).status, 502);
    await untrusted();
  });
});
