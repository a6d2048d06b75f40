/** RSA-PSK where there is no room: the client's second flight is read in a job, and asks for the user's callback there. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import type { KeylessError } from '../../lib/errors.ts';
import { configureEngine, createServer, engineStats, localKey, type PrivateKey } from '../../lib/index.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';

const CLIENTS = 12;
const ROOM = 2;
const PSK = Buffer.alloc(32, 1);
const TLS12 = { ciphers: 'RSA-PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;

/** Passes connections on, and keeps each client's second flight back until all are there. */
async function floodgate(port: number): Promise<net.Server> {
  const held: (() => void)[] = [];
  const gate = net.createServer((client: Socket) => {
    const server = net.connect(port, '127.0.0.1');
    let flights = 0;
    client.on('data', (chunk: Buffer) => {
      flights += 1;
      if (flights !== 2) {
        server.write(chunk);
        return;
      }
      held.push(() => server.write(chunk));
      if (held.length === CLIENTS) for (const release of held) release();
    });
    server.pipe(client);
    for (const socket of [client, server]) socket.on('error', () => undefined);
    client.on('close', () => server.destroy());
  });
  gate.listen(0, '127.0.0.1');
  await once(gate, 'listening');
  return gate;
}

/** @returns what became of one client */
function visit(port: number): Promise<string> {
  const client = tls.connect({
    ...TLS12,
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: PSK, identity: 'me' }),
  });
  let end = 'served';
  client.on('error', () => {
    end = 'refused';
  });
  return new Promise((resolve) => client.resume().on('close', () => resolve(end)));
}

test('second flights beyond the limit are refused, and no callback of the user is asked for them', async () => {
  const authority = await makeAuthority();
  const { certPem, keyPem } = await authority.issue({ type: 'rsa' });
  const local = localKey(keyPem, { sync: true });
  const waiting: (() => void)[] = [];
  const key: PrivateKey = {
    sign: (operation) => local.sign(operation),
    decrypt: (operation) =>
      new Promise((resolve) => waiting.push(() => resolve(local.decrypt!(operation) as Uint8Array))),
  };
  configureEngine({ maxPausedHandshakes: ROOM });
  let asked = 0;
  const codes: (string | undefined)[] = [];
  const pskCallback = () => {
    asked += 1;
    return PSK;
  };
  const server = createServer({ ...TLS12, cert: certPem, key, pskCallback }, (socket) => socket.end('x'));
  server.on('tlsClientError', (error: Error) => codes.push((error as KeylessError).code));
  const gate = await floodgate(await listen(server));
  const visits = Array.from({ length: CLIENTS }, () => visit((gate.address() as AddressInfo).port));
  await until(() => codes.length === CLIENTS - 2 * ROOM);
  assert.deepEqual([...new Set(codes)], ['ERR_KEYLESS_TOO_MANY_HANDSHAKES']);
  assert.equal(asked, ROOM, 'of those that were refused none');
  const done = Promise.all(visits);
  while ((await Promise.race([done, new Promise((resolve) => setImmediate(resolve))])) === undefined) {
    for (const answer of waiting.splice(0)) answer();
  }
  const ends = await done;
  assert.equal(ends.filter((end) => end === 'served').length, 2 * ROOM);
  assert.equal(asked, 2 * ROOM);
  gate.close();
  await close(server);
  await until(() => engineStats().handshakes === 0);
});
