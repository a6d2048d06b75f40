/**
 * What reaches a connection between the answer of its key and the turn in which Node is told what that has brought: it is read after
 * that, as natively, where all of it comes within one read.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { before, test } from 'node:test';
import tls from 'node:tls';
import { createSecureContext, localKey, type PrivateKey } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';

type Role = 'server' | 'client';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});

/** An alert in the clear, which nobody takes behind these flights. */
const GARBAGE = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

/** @param answered is called when OpenSSL has gone on with an answer, and before the loop's next turn */
function answering(answered: () => void): PrivateKey {
  const local = localKey(issued.keyPem, { sync: true });
  return {
    sign: (operation) =>
      new Promise((resolve) => {
        setImmediate(() => {
          resolve(local.sign(operation));
          // All microtasks are done before the ticks that they ask for.
          queueMicrotask(() => process.nextTick(answered));
        });
      }),
  };
}

/** A connection of which no more is passed on than what leads to the operation. @returns the end that is told, and the way to it */
function connection(told: Role, key: PrivateKey | undefined) {
  const [serverEnd, ofServer] = duplexPair();
  const [clientEnd, ofClient] = duplexPair();
  const { certPem: cert, keyPem } = issued;
  const version = { minVersion: 'TLSv1.3' } as const;
  const native = tls.createSecureContext({ cert, key: keyPem, ...version });
  const own = key === undefined ? native : createSecureContext({ cert, key, ...version });
  const of = (role: Role) => ({
    ...{ secureContext: role === told ? own : native, requestCert: told === 'client' },
    rejectUnauthorized: false,
  });
  const sockets = {
    server: new tls.TLSSocket(serverEnd as Socket, { isServer: true, ...of('server') }).on('error', () => {}),
    client: tls.connect({ socket: clientEnd as Socket, ...of('client') }).on('error', () => {}),
  };
  ofClient.once('data', (hello) => ofServer.write(hello));
  ofServer.on('data', (flight) => told === 'client' && ofClient.write(flight));
  return { socket: sockets[told], way: told === 'server' ? ofServer : ofClient };
}

/** @returns what that end tells until it has failed, in order */
async function story(told: Role, isKeyless: boolean): Promise<string[]> {
  const log: string[] = [];
  const pass = () => way.write(GARBAGE);
  const { socket, way } = connection(told, isKeyless ? answering(pass) : undefined);
  socket.on('keylog', (line) => log.push(String(line).split(' ')[0]!));
  socket.on('secure', () => log.push('secure'));
  socket.on('error', ({ code }: NodeJS.ErrnoException) => log.push(String(code)));
  // Natively all is told in one turn. Under isolate that key takes more, and what comes before its answer must tell the same.
  if (!isKeyless) socket.once('keylog', () => setImmediate(pass));
  await new Promise((resolve) => socket.once('error', resolve));
  // What should not come any more.
  await new Promise(setImmediate);
  return log;
}

for (const told of ['server', 'client'] as const) {
  test(`a ${told} reads what comes behind the flight that it signs for when it has told of that`, async () => {
    const native = await story(told, false);
    assert.ok(native[0]?.endsWith('_SECRET') && native.at(-1)?.startsWith('ERR_SSL_'), String(native));
    assert.deepEqual(await story(told, true), native);
  });
}
