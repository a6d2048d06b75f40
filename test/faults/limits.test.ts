/** An edge whose process has run out of what the system gives it: row 24. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import type { LimitedEdgePlan, LimitedEdgeState } from '../helpers/limited-edge.ts';

const MAIN = fileURLToPath(new URL('../helpers/limited-edge.js', import.meta.url));
const DESCRIPTORS = 64;

let setup: KeyServerSetup;
const children: ChildProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
});

function limited(...limits: readonly string[]): ChildProcess {
  const child = spawn('prlimit', [...limits, process.execPath, MAIN], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  return child;
}

const descriptors = (child: ChildProcess) => readdirSync(`/proc/${child.pid}/fd`).length;

async function ask<T>(child: ChildProcess, question: unknown): Promise<T> {
  child.send(question as object);
  const [answer] = (await once(child, 'message')) as [T];
  return answer;
}

function visit(port: number): Promise<string> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: setup.authority.certPem,
  });
  return new Promise((resolve) => {
    socket.on('data', () => resolve('ok'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
  });
}

test('row 24: without a descriptor left the way to the key server is kept, and clients are served as soon as there is one', async () => {
  const keyServer = await setup.start();
  const child = limited(`--nofile=${DESCRIPTORS}:${DESCRIPTORS}`);
  const plan: LimitedEdgePlan = {
    options: { servers: [`127.0.0.1:${keyServer.port}`], ...setup.edgeOptions },
    certPem: setup.sites.p256!.certPem,
  };
  try {
    const port = await ask<number>(child, plan);
    assert.equal(await visit(port), 'ok');
    const idle = Array.from({ length: 2 * DESCRIPTORS }, () => net.connect(port, '127.0.0.1'));
    for (const socket of idle) socket.on('error', () => undefined);
    await Promise.all(idle.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])));
    await until(() => descriptors(child) >= DESCRIPTORS - 1);
    // What is beyond its descriptors is dropped, or waits for its turn: that the edge answers at all is the point.
    const full = await ask<LimitedEdgeState>(child, 'state');
    assert.ok(full.ready >= 1);
    for (const socket of idle) socket.destroy();
    await until(() => descriptors(child) < DESCRIPTORS / 2);
    assert.equal(await visit(port), 'ok');
    const later = await ask<LimitedEdgeState>(child, 'state');
    assert.deepEqual([later.ready >= 1, later.failures], [true, full.failures]);
    assert.equal(child.exitCode, null);
  } finally {
    child.kill('SIGKILL');
    await keyServer.close();
  }
});
