/** What is under way over HTTP/1.1 when `keyless-tls proxy` is told to end: it is finished, and its connection closed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

/** Less than any time-out of the proxy. */
const SOON = { timeout: 20_000 };

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
  proxy = new ProxyProcess(folder, ['--backend', url]);
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
