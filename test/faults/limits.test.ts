/** An edge whose process has run out of what the system gives it: row 24. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { closed } from '../helpers/closed.ts';
import { until } from '../helpers/edge.ts';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';

const DESCRIPTORS = 64;

let setup: KeyServerSetup;
const edges: EdgeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(() => {
  for (const edge of edges) edge.kill();
});

test('row 24: without a descriptor left the way to the key server is kept, and clients are served as soon as there is one', async () => {
  const keyServer = await setup.start();
  const edge = await EdgeProcess.start(
    {
      certPem: setup.sites.p256!.certPem,
      keyServers: { servers: [`127.0.0.1:${keyServer.port}`], ...setup.edgeOptions },
    },
    { under: ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`] },
  );
  edges.push(edge);
  const { port } = edge;
  const visit = () => visitPort(port, setup.authority.certPem);
  try {
    assert.equal(await visit(), 'ok');
    const idle = Array.from({ length: 2 * DESCRIPTORS }, () => net.connect(port, '127.0.0.1'));
    for (const socket of idle) socket.on('error', () => undefined);
    await Promise.all(idle.map((socket) => Promise.race([once(socket, 'connect'), closed(socket)])));
    await until(() => edge.descriptors >= DESCRIPTORS - 1);
    // What is beyond its descriptors is dropped, or waits for its turn: that the edge answers at all is the point.
    const full = await edge.state();
    assert.ok(full.ready >= 1);
    for (const socket of idle) socket.destroy();
    await until(() => edge.descriptors < DESCRIPTORS / 2);
    assert.equal(await visit(), 'ok');
    const later = await edge.state();
    assert.deepEqual([later.ready >= 1, later.failures], [true, full.failures]);
    assert.equal(edge.child.exitCode, null);
  } finally {
    edge.kill();
    await keyServer.close();
  }
});
