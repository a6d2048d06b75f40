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
let askEdge: () => Promise<unknown>;
/** Microseconds of a socket of Node's for an answer that comes in single bytes, before there is anything of ours here. */
let bareUs: number;

async function warm(ask: () => Promise<unknown>): Promise<void> {
  for (let at = 0; at < 500; at += 1) await ask();
}

/** @returns microseconds of this process for one answer; the relay and the servers are in another one */
async function cpuOf(ask: () => Promise<unknown>, sliceBytes: number | null, answers: number) {
  child.send(sliceBytes as never);
  await once(child, 'message');
  await ask();
  const before = process.cpuUsage();
  for (let at = 0; at < answers; at += 1) await ask();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / answers;
}

/** A connection as the edge has it, for the same bytes, with nothing behind it. */
async function measureBare(port: number): Promise<number> {
  let came = 0;
  let onAnswer: () => void = () => undefined;
  const callback = (bytes: number) => {
    came += bytes;
    if (came < ANSWER_BYTES) return true;
    came -= ANSWER_BYTES;
    onAnswer();
    return true;
  };
  const onread = { buffer: READ_BUFFER, callback };
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...{ onread } });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  const request = Buffer.alloc(1000);
  const ask = () =>
    new Promise<void>((resolve) => {
      onAnswer = resolve;
      socket.write(request);
    });
  await warm(ask);
  const us = await cpuOf(ask, 1, 60);
  socket.destroy();
  return us;
}

before(async () => {
  child = fork(PROGRAM);
  const [servers] = (await once(child, 'message')) as [SlicedServers];
  bareUs = await measureBare(servers.barePort);
  // At a byte for each turn of the relay's loop a greeting takes its time, and a busy machine's even more.
  const patience = { connectTimeoutMs: 20_000, pingTimeoutMs: 20_000, connectionsPerServer: 1 };
  keys = connectKeyServers({ servers: [servers.address], ...servers.edgeOptions, ...patience });
  await keys.ready();
  const keyId = Buffer.from(servers.keyId, 'hex');
  askEdge = () => keys.sign(signOperation(keyId));
  await cpuOf(askEdge, null, 0);
  await warm(askEdge);
});
after(() => {
  keys.close();
  child.disconnect();
});

test('row 8: pieces of 32 bytes cost at most five times what whole answers do', async (context) => {
  const whole = await cpuOf(askEdge, null, 300);
  const sliced = await cpuOf(askEdge, 32, 300);
  context.diagnostic(`${Math.round(whole)} and ${Math.round(sliced)} µs for an answer`);
  assert.ok(sliced <= 5 * whole, `${sliced} µs, ${whole} in one piece`);
});

test('row 8: single bytes cost what Node pays for a thousand reads, and hardly more', async (context) => {
  const us = await cpuOf(askEdge, 1, 60);
  context.diagnostic(`${Math.round(us)} µs for an answer, a bare socket's ${Math.round(bareUs)}`);
  assert.ok(us <= 2 * bareUs, `${us} µs, a bare socket's ${bareUs}`);
});
