/** An edge's own end: row 37 of docs/operations.md for a server without a private key, in a process of its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { type BadKeyServer, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import { clientHello } from '../helpers/half-open.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

const SLOW = 100;
/** Enough for those who say something, also where the machine stands still for a moment. */
const HANDSHAKE_MS = 6000;

let setup: KeyServerSetup;
let keyServer: BadKeyServer;

before(async () => {
  setup = await makeKeyServers(['p256']);
  keyServer = await startBadKeyServer(setup);
});
after(() => keyServer.close());

/** Says a hello, a byte at a time, for longer than anybody waits. */
async function slowClient(port: number, hello: Buffer): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  let said = 0;
  const timer = setInterval(() => socket.write(hello.subarray(said, ++said)), 25);
  socket.once('close', () => clearInterval(timer));
  return socket;
}

test('row 37: clients that hardly say anything: others are served beside them, what is pending when it closes is, and it ends by itself', async () => {
  const edge = await EdgeProcess.start({
    certPem: setup.sites.p256!.certPem,
    keyServers: { servers: [keyServer.address], ...setup.edgeOptions },
    server: { handshakeTimeout: HANDSHAKE_MS },
  });
  const visit = () => visitPort(edge.port, setup.authority.certPem);
  try {
    const hello = await clientHello();
    const slow = await Promise.all(Array.from({ length: SLOW }, () => slowClient(edge.port, hello)));
    const closed = slow.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    assert.equal(await visit(), 'ok');
    keyServer.manner = { reordered: Number.POSITIVE_INFINITY };
    const pending = Array.from({ length: 20 }, visit);
    await edge.until(({ inFlight }) => inFlight === pending.length);
    const took = stopwatch();
    const ended = edge.end();
    // It has closed its server by then.
    await once(edge.child, 'disconnect');
    keyServer.release();
    assert.deepEqual(new Set(await Promise.all(pending)), new Set(['ok']));
    assert.equal(await ended, 0, edge.output);
    const ms = took();
    assert.ok(ms < HANDSHAKE_MS + 500, `${ms} ms`);
    await Promise.all(closed);
    assert.equal(edge.output, '');
  } finally {
    edge.kill();
  }
});
