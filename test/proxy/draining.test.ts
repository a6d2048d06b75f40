/** What is under way, or on its way, when `keyless-tls proxy` is told to end: it is finished, and its connection closed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

/** Less than any time-out of the proxy. */
const SOON = { timeout: 120_000 };

let folder: HostsFolder;
let backend: Server;
let url: string;
let proxy: ProxyProcess;
let port: number;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  backend = createServer();
  url = `http://127.0.0.1:${await portOf(backend)}`;
});
beforeEach(async () => {
  proxy = new ProxyProcess(folder, [
    '--backend',
    url,
    '--handshake-timeout',
    '300000',
    '--drain-timeout',
    '300000',
  ]);
  port = await proxy.port();
});
after(() => {
  backend.closeAllConnections();
  backend.close();
  folder.remove();
});

/** A connection with a request that the backend has. */
async function ask(bytes: string): Promise<[tls.TLSSocket, IncomingMessage, ServerResponse]> {
  const asked = once(backend, 'request');
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  socket.write(bytes);
  const [request, response] = await asked;
  return [socket, request, response];
}

/** @returns its end */
async function drain(): Promise<{ ended: Promise<number | NodeJS.Signals> }> {
  const ended = proxy.end();
  await proxy.event('draining');
  return { ended };
}

test('a kept connection whose answer had begun is closed when it is whole', SOON, async () => {
  const [socket, , response] = await ask('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  response.write('half, ');
  const [begun] = await once(socket, 'data');
  assert.match(String(begun), /\r\nConnection: keep-alive\r\n/i);
  const { ended } = await drain();
  response.end('whole');
  assert.match(await text(socket), /whole\r\n0\r\n\r\n$/);
  assert.equal(await ended, 0, proxy.stderr);
});

test('a request whose answer is the last one is still passed on to its end', SOON, async () => {
  const [socket, request, response] = await ask(
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf-',
  );
  const { ended } = await drain();
  response.writeHead(200, { 'content-length': 10 }).write('>');
  const [begun] = await once(socket, 'data');
  assert.match(String(begun), /\r\nConnection: close\r\n/i);
  socket.write('full');
  request.pipe(response);
  assert.match(`${begun}${await text(socket)}`, /\r\n\r\n>half-full$/);
  assert.equal(await ended, 0, proxy.stderr);
});

/** A request over a connection of its own: by then the proxy has seen what had come before it. */
async function another(): Promise<void> {
  const [socket, , response] = await ask('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  response.end();
  await text(socket);
}

async function begin(socket: tls.TLSSocket, bytes: string): Promise<void> {
  socket.write(bytes);
  await another();
}

test('a request whose head was on its way is answered, and the connection closed', SOON, async () => {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [, first] = await once(backend, 'request');
  first.end('first');
  await once(socket, 'data');
  await begin(socket, 'POST / HTTP/1.1\r\nHost: local');
  const { ended } = await drain();
  const asked = once(backend, 'request');
  socket.write('host\r\nContent-Length: 0\r\n\r\n');
  const [, response] = await asked;
  response.end('second');
  assert.match(await text(socket), /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n[\s\S]*second/is);
  assert.equal(await ended, 0, proxy.stderr);
});

test('one whose head does not come is told so, long before the drain ends', SOON, async () => {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  await once(socket, 'secureConnect');
  await begin(socket, 'GET / HTTP/1.1\r\nHost: local');
  const { ended } = await drain();
  assert.match(await text(socket), /^HTTP\/1\.1 408 .*\r\nConnection: close\r\n/is);
  assert.equal(await ended, 0, proxy.stderr);
});

/** A connection whose TLS begins when the proxy is draining. @returns the end of that, too */
async function late(alpn: string): Promise<[tls.TLSSocket, Promise<number | NodeJS.Signals>]> {
  const below = net.connect(port, '127.0.0.1');
  await once(below, 'connect');
  await another();
  const { ended } = await drain();
  const options = { socket: below, servername: 'localhost', ca: folder.authority.certPem };
  return [tls.connect({ ...options, ALPNProtocols: [alpn] }), ended];
}

test('a client of HTTP/1.1 whose TLS began later is answered once', SOON, async () => {
  const [socket, ended] = await late('http/1.1');
  const asked = once(backend, 'request');
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [, response] = await asked;
  response.end('last');
  assert.match(await text(socket), /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n[\s\S]*last/is);
  assert.equal(await ended, 0, proxy.stderr);
});

test('one that says nothing then is let go of, long before the drain ends', SOON, async () => {
  const [socket, ended] = await late('http/1.1');
  assert.equal(await text(socket), '');
  assert.equal(await ended, 0, proxy.stderr);
});

/** RFC 9113 §3.4: what a client begins with, its SETTINGS empty; then GET / of localhost (RFC 7541 §6), by itself. */
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
const GET = '\0\0\x0e\x01\x05\0\0\0\x01\x82\x84\x87\x41\x09localhost';
const [DATA, GOAWAY] = [0x0, 0x7];

/** RFC 9113 §4.1, type and payload of each. */
function framesIn(bytes: Buffer): [number, Buffer][] {
  const frames: [number, Buffer][] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    frames.push([bytes[at + 3]!, bytes.subarray(at + 9, end)]);
    at = end;
  }
  return frames;
}

/** By a client that minds nothing of what it is told. */
async function framesTo(socket: tls.TLSSocket, bytes: string): Promise<[number, Buffer][]> {
  socket.write(bytes, 'latin1');
  return framesIn(await buffer(socket));
}

const wentAway = (frames: [number, Buffer][]) =>
  frames.filter(([type]) => type === GOAWAY).map(([, payload]) => payload.readUInt32BE(4));

test(
  'a client of HTTP/2 whose TLS began later is told to go, and what it had asked for is answered',
  SOON,
  async () => {
    const [socket, ended] = await late('h2');
    const asked = once(backend, 'request');
    const frames = framesTo(socket, PREFACE + GET);
    const [, response] = await asked;
    response.end('last');
    assert.equal(wentAway(await frames)[0], http2.constants.NGHTTP2_NO_ERROR);
    assert.equal(
      Buffer.concat((await frames).filter(([type]) => type === DATA).map(([, data]) => data)).toString(),
      'last',
    );
    assert.equal(await ended, 0, proxy.stderr);
  },
);

test('so is one that asks for nothing, and its connection is closed, also if it stays', SOON, async () => {
  const [socket, ended] = await late('h2');
  assert.equal(wentAway(await framesTo(socket, PREFACE))[0], http2.constants.NGHTTP2_NO_ERROR);
  assert.equal(await ended, 0, proxy.stderr);
});

/** RFC 8446 §5.1: a record of the handshake, of 512 bytes, and of those the first. */
const HALF_HELLO = Buffer.from([22, 3, 1, 2, 0, 1]);

test(
  'connections that have not said whom they are for are closed, and a handshake goes on',
  SOON,
  async () => {
    const below = net.connect(port, '127.0.0.1');
    const between = new Duplex({
      read: () => undefined,
      write: (chunk, _, done) => void below.write(chunk, () => done()),
    });
    const trust = { servername: 'localhost', ca: folder.authority.certPem };
    const socket = tls.connect({ socket: between, ...trust });
    // Held back until the others are gone.
    const [flight] = await once(below, 'data');
    below.pause();
    const unheard = [Buffer.alloc(0), HALF_HELLO].map((bytes) => {
      const connection = net.connect(port, '127.0.0.1');
      connection.write(bytes);
      return connection;
    });
    await Promise.all(unheard.map((connection) => once(connection, 'connect')));
    await another();
    const { ended } = await drain();
    await Promise.all(unheard.map((connection) => closed(connection.resume())));
    between.push(flight);
    below
      .on('data', (bytes) => between.push(bytes))
      .on('end', () => between.push(null))
      .resume();
    const asked = once(backend, 'request');
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [, response] = await asked;
    response.end('last');
    assert.match(await text(socket), /last/);
    assert.equal(await ended, 0, proxy.stderr);
  },
);
