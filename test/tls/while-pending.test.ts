/** What may happen to a connection, a server or a context while a private-key operation is pending. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { connect as netConnect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import nodeTls, { type Server, type TLSSocket } from 'node:tls';
import {
  connect,
  createServer,
  engineStats,
  localKey,
  type PrivateKey,
  type SignOperation,
} from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { listen } from '../helpers/connections.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { until } from '../helpers/edge.ts';

let authority: Authority;
let first: Issued;
let second: Issued;

before(async () => {
  authority = await makeAuthority();
  [first, second] = await Promise.all([authority.issue({ type: 'p256' }), authority.issue({ type: 'rsa' })]);
});
after(() => assert.deepEqual(engineStats().paused, 0));

/** A key whose operations wait until the test lets them go. */
class HeldKey implements PrivateKey {
  readonly operations: SignOperation[] = [];
  readonly #local: PrivateKey;
  #go: (() => void)[] = [];
  #asked: (() => void) | undefined;

  constructor(keyPem: string) {
    this.#local = localKey(keyPem, { sync: true });
  }

  async sign(operation: SignOperation): Promise<Uint8Array> {
    this.operations.push(operation);
    this.#asked?.();
    await new Promise<void>((resolve) => this.#go.push(resolve));
    return this.#local.sign(operation);
  }

  /** Resolves when an operation waits. */
  async asked(): Promise<SignOperation> {
    if (this.operations.length === 0) await new Promise<void>((resolve) => (this.#asked = resolve));
    return this.operations.at(-1)!;
  }

  release(): void {
    for (const go of this.#go.splice(0)) go();
  }
}

function serve(key: HeldKey, options: nodeTls.TlsOptions = {}): Server {
  const server = createServer({ cert: first.certPem, key, ...options } as Parameters<typeof createServer>[0]);
  server.on('secureConnection', (socket) => socket.on('error', () => undefined).end('hello'));
  return server;
}

function visit(port: number): TLSSocket {
  const socket = nodeTls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
  return socket.on('error', () => undefined);
}

/** What a client says first. */
async function clientHello(): Promise<Buffer> {
  const [here, there] = duplexPair();
  const client = nodeTls.connect({ socket: here, servername: 'localhost' }).on('error', () => undefined);
  const [hello] = (await once(there, 'data')) as [Buffer];
  client.destroy();
  return hello;
}

/** Resolves when a number has not changed for 100 ms: what is to be seen is that nothing happens. */
async function untilStill(read: () => number): Promise<void> {
  let last = -1;
  while (last !== read()) {
    last = read();
    await sleep(100);
  }
}

/** Not `once`, which an error before it would reject. */
function closed(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', resolve));
}

async function peerOf(socket: TLSSocket): Promise<string> {
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.resume();
  await closed(socket);
  return fingerprint256;
}

test('a new context of the server is for the connections after it', async () => {
  const key = new HeldKey(first.keyPem);
  const server = serve(key);
  const port = await listen(server);
  const early = peerOf(visit(port));
  await key.asked();
  server.setSecureContext({ cert: second.certPem, key: second.keyPem });
  assert.equal(await peerOf(visit(port)), new X509Certificate(second.certPem).fingerprint256);
  key.release();
  assert.equal(await early, new X509Certificate(first.certPem).fingerprint256);
  server.close();
  await closed(server);
});

test('a server that is closed lets the handshake end first', async () => {
  const key = new HeldKey(first.keyPem);
  const server = serve(key);
  const client = peerOf(visit(await listen(server)));
  await key.asked();
  let isClosed = false;
  server.close(() => (isClosed = true));
  await new Promise(setImmediate);
  assert.equal(isClosed, false);
  key.release();
  await client;
  if (!isClosed) await closed(server);
});

test('a client that goes aborts the operation, is reported as natively, and a late answer is ignored', async () => {
  const key = new HeldKey(first.keyPem);
  const server = serve(key);
  const errors: (NodeJS.ErrnoException | string)[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message));
  server.on('secureConnection', () => errors.push('secureConnection'));
  const client = visit(await listen(server));
  const { signal } = await key.asked();
  client.destroy();
  await once(signal, 'abort');
  assert.equal((signal.reason as NodeJS.ErrnoException).code, 'ERR_KEYLESS_ABORTED');
  key.release();
  server.close();
  await closed(server);
  assert.deepEqual(errors, ['ECONNRESET']);
});

/** What a client's reset tells a server that allows half-open connections. @param meanwhile its key has not answered yet, or it has */
async function resetOf(meanwhile: boolean, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<unknown> {
  const key = new HeldKey(first.keyPem);
  const server = serve(key, {
    maxVersion,
    handshakeTimeout: 5000,
    allowHalfOpen: true,
  } as nodeTls.TlsOptions);
  const told = once(server, 'tlsClientError');
  const client = netConnect(
    await listen(server),
    '127.0.0.1',
    () => void clientHello().then((hello) => client.write(hello)),
  );
  await key.asked();
  if (!meanwhile) {
    key.release();
    await once(client, 'data');
  }
  const gone = closed(client);
  client.resetAndDestroy();
  await gone;
  key.release();
  const [{ code, message, errno, syscall }] = await told;
  server.close();
  await closed(server);
  return { code, message, errno, syscall };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a half-open server is told of a reset while the operation is pending as of one after it, ${version}`, async () => {
    const after = await resetOf(false, version);
    assert.equal((after as { message: string }).message, 'read ECONNRESET');
    assert.deepEqual(await resetOf(true, version), after);
  });
}

test('a handshake that takes too long ends once, with the error of Node, and its operation is aborted', async () => {
  const key = new HeldKey(first.keyPem);
  const server = serve(key, { handshakeTimeout: 50 });
  const errors: unknown[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    errors.push(error.code);
    socket.destroy();
  });
  const client = visit(await listen(server));
  const gone = closed(client);
  const { signal } = await key.asked();
  if (!signal.aborted) await once(signal, 'abort');
  await gone;
  key.release();
  server.close();
  await closed(server);
  assert.deepEqual(errors, ['ERR_TLS_HANDSHAKE_TIMEOUT']);
});

test('an operation has no more time than its handshake', async () => {
  const HANDSHAKE_MS = 4000;
  const key = new HeldKey(first.keyPem);
  const server = serve(key, { handshakeTimeout: HANDSHAKE_MS });
  const port = await listen(server);
  const before = performance.now();
  const client = peerOf(visit(port));
  const { deadline } = await key.asked();
  assert.ok(deadline >= before + HANDSHAKE_MS && deadline <= performance.now() + HANDSHAKE_MS);
  key.release();
  await client;
  server.close();
  await closed(server);
});

test("a server's socket that is destroyed aborts the operation, and the client sees the connection go", async () => {
  const key = new HeldKey(first.keyPem);
  const server = serve(key);
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const client = visit(await listen(server));
  const { signal } = await key.asked();
  const gone = closed(client);
  for (const socket of sockets) socket.destroy();
  if (!signal.aborted) await once(signal, 'abort');
  await gone;
  key.release();
  server.close();
  await closed(server);
});

test('a client that is destroyed while its own operation is pending is gone at once', async () => {
  const key = new HeldKey(first.keyPem);
  const server = nodeTls.createServer({
    cert: second.certPem,
    key: second.keyPem,
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on('secureConnection', (socket) => socket.on('error', () => undefined).resume());
  server.on('tlsClientError', () => undefined);
  const port = await listen(server);
  const errors: unknown[] = [];
  const client = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    cert: first.certPem,
    key,
  });
  client.on('error', (error) => errors.push(error));
  const { signal, role } = await key.asked();
  client.destroy();
  await closed(client);
  assert.deepEqual([role, signal.aborted, errors], ['client', true, []]);
  key.release();
  server.close();
  await closed(server);
});

test('a half-open client is told of a reset while its own operation is pending', async () => {
  const key = new HeldKey(first.keyPem);
  const server = nodeTls.createServer({
    ...{ cert: second.certPem, key: second.keyPem, maxVersion: 'TLSv1.2' },
    ...{ requestCert: true, rejectUnauthorized: false },
  });
  server.on('tlsClientError', () => undefined);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const port = await listen(server);
  const socket = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const client = connect({
    socket,
    servername: 'localhost',
    ca: authority.certPem,
    cert: first.certPem,
    key,
  });
  const told = once(client, 'secureConnect');
  await key.asked();
  const [raw] = await accepted;
  const gone = closed(raw);
  raw.resetAndDestroy();
  await gone;
  key.release();
  await assert.rejects(told, { code: 'ECONNRESET', message: 'read ECONNRESET' });
  server.close();
  await closed(server);
});

test('a half-open client that does not read is told of a reset when it reads on', async () => {
  const key = new HeldKey(first.keyPem);
  const server = nodeTls.createServer({
    ...{ cert: second.certPem, key: second.keyPem, maxVersion: 'TLSv1.2' },
    ...{ requestCert: true, rejectUnauthorized: false },
  });
  server.on('tlsClientError', () => undefined);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const own = { servername: 'localhost', ca: authority.certPem, cert: first.certPem, key };
  // A client that has this stops the reading itself when it pauses.
  const onread = { buffer: new Uint8Array(1000), callback: () => true };
  const client = connect({
    ...{ port: await listen(server), host: '127.0.0.1', allowHalfOpen: true, onread },
    ...own,
  });
  const told = once(client, 'secureConnect');
  const [raw] = await accepted;
  await key.asked();
  client.pause();
  const gone = closed(raw);
  raw.resetAndDestroy();
  await gone;
  key.release();
  await until(() => engineStats().paused === 0);
  await new Promise(setImmediate);
  client.resume();
  await assert.rejects(told, { code: 'ECONNRESET', message: 'read ECONNRESET' });
  server.close();
  await closed(server);
});

test('data that a client writes at once after its handshake waits for the pending one of its server', async () => {
  const key = new HeldKey(first.keyPem);
  const server = createServer({ cert: first.certPem, key });
  const received: string[] = [];
  server.on('secureConnection', (socket) => {
    socket.on('data', (data) => {
      received.push(String(data));
      socket.end();
    });
  });
  const client = visit(await listen(server));
  client.write('before the handshake');
  await key.asked();
  client.write(', during it');
  key.release();
  client.resume();
  await closed(client);
  assert.equal(received.join(''), 'before the handshake, during it');
  server.close();
  await closed(server);
});

test('a peer that sends and sends while its handshake waits is not read from until then', async () => {
  const FLOOD_BYTES = 64 * 1024 * 1024;
  const MOST_BYTES = 16 * 1024 * 1024;
  const key = new HeldKey(first.keyPem);
  const server = serve(key);
  const codes: unknown[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => codes.push(error.code));
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = netConnect({ port: await listen(server), host: '127.0.0.1' });
  client.on('error', () => undefined).resume();
  client.write(await clientHello());
  await key.asked();
  const [connection] = await accepted;
  client.write(Buffer.alloc(FLOOD_BYTES, 0x17));
  await untilStill(() => connection.bytesRead);
  assert.ok(connection.bytesRead < MOST_BYTES, `${connection.bytesRead} bytes were read`);
  assert.equal(engineStats().paused, 1);
  key.release();
  await closed(client);
  assert.deepEqual(codes, ['ERR_SSL_WRONG_VERSION_NUMBER']);
  server.close();
  await closed(server);
});
