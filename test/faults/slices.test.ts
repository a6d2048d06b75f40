/** What an edge pays for answers that come in pieces: row 8 of docs/operations.md. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { connectKeyServers, type KeyServers } from '../../lib/keys/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import type { SlicedServers } from '../helpers/sliced-program.ts';

const PROGRAM = fileURLToPath(new URL('../helpers/sliced-program.js', import.meta.url));
const ANSWER_BYTES = 1024;
const READ_BUFFER = Buffer.alloc(65_536);

let child: ChildProcess;
let keys: KeyServers;
let bare: tls.TLSSocket;
let onBareAnswer: () => void = () => undefined;
let ask: Readonly<Record<'edge' | 'bare', () => Promise<unknown>>>;

/** A connection as the edge has it, for the same bytes, with nothing behind it. */
async function connectBare(port: number): Promise<tls.TLSSocket> {
  let came = 0;
  const callback = (bytes: number) => {
    came += bytes;
    if (came < ANSWER_BYTES) return true;
    came -= ANSWER_BYTES;
    onBareAnswer();
    return true;
  };
  const onread = { buffer: READ_BUFFER, callback };
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...{ onread } });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  return socket;
}

before(async () => {
  child = fork(PROGRAM);
  const [servers] = (await once(child, 'message')) as [SlicedServers];
  // At a byte for each turn of the relay's loop a greeting takes its time, and a busy machine's even more.
  const patience = { connectTimeoutMs: 20_000, pingTimeoutMs: 20_000, connectionsPerServer: 1 };
  keys = connectKeyServers({ servers: [servers.address], ...servers.edgeOptions, ...patience });
  await keys.ready();
  bare = await connectBare(servers.barePort);
  const [keyId, request] = [Buffer.from(servers.keyId, 'hex'), Buffer.alloc(1000)];
  ask = {
    edge: () => keys.sign(signOperation(keyId)),
    bare: () =>
      new Promise<void>((resolve) => {
        onBareAnswer = resolve;
        bare.write(request);
      }),
  };
  for (let warm = 0; warm < 500; warm += 1) await Promise.all([ask.edge(), ask.bare()]);
});
after(() => {
  keys.close();
  bare.destroy();
  child.disconnect();
});

/** @returns microseconds of this process for one answer; the relay and the servers are in another one */
async function cpuOf(kind: 'edge' | 'bare', sliceBytes: number | null, answers: number): Promise<number> {
  child.send(sliceBytes as never);
  await once(child, 'message');
  await ask[kind]();
  const before = process.cpuUsage();
  for (let at = 0; at < answers; at += 1) await ask[kind]();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / answers;
}

test('row 8: pieces of 32 bytes cost at most five times what whole answers do', async (context) => {
  const whole = await cpuOf('edge', null, 300);
  const sliced = await cpuOf('edge', 32, 300);
  context.diagnostic(`${Math.round(whole)} and ${Math.round(sliced)} µs for an answer`);
  assert.ok(sliced <= 5 * whole, `${sliced} µs, ${whole} in one piece`);
});

test('row 8: single bytes cost what Node pays for a thousand reads, and hardly more', async (context) => {
  const node = await cpuOf('bare', 1, 60);
  const edge = await cpuOf('edge', 1, 60);
  context.diagnostic(`${Math.round(edge)} µs for an answer, a bare socket's ${Math.round(node)}`);
  assert.ok(edge <= 2 * node, `${edge} µs, a bare socket's ${node}`);
});
