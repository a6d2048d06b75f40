/**
 * Renegotiations that fail. Node only tells of them: the connection was established, and it is left to the user to end it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type net from 'node:net';
import { before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import tls, { type TLSSocket } from 'node:tls';
import { createServer, type PrivateKey } from '../../lib/index.ts';
import { linkTo } from '../helpers/between-flights.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, describeError, listen } from '../helpers/connections.ts';
import { parity, remoteKey } from '../helpers/parity.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

/** Connects by way of `port` and renegotiates. @returns what the server's end tells until the client knows of the failure */
async function renegotiate(server: tls.Server, port: number): Promise<unknown[]> {
  const log: unknown[] = [];
  let accepted: TLSSocket | undefined;
  server.once('secureConnection', (socket) => {
    accepted = socket.resume();
    socket.on('error', (error) => log.push(describeError(error)));
    socket.on('close', (hadError) => log.push(`close ${hadError}`));
  });
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('secureConnect', () => client.renegotiate({ rejectUnauthorized: false }, () => {}));
  await once(client, 'error');
  await turn();
  await turn();
  const told = [...log];
  client.destroy();
  accepted?.destroy();
  return told;
}

/** In its first record. Of the client's flights, the second of the second handshake begins with the premaster. */
const SPOILT: Readonly<Record<string, number>> = { ClientHello: 3, 'second flight': 4 };

for (const [name, flight] of Object.entries(SPOILT)) {
  for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']) {
    parity(`a renegotiation whose ${name} is spoilt, ${ciphers}`, async (side) => {
      const own = { cert: issued.certPem, key: side.key(issued), ciphers, maxVersion: 'TLSv1.2' } as const;
      const server = side.tls.createServer(own);
      const link = await linkTo(await listen(server), (each, data) => {
        if (each === flight) data.writeUInt8(data.readUInt8(20) ^ 1, 20);
      });
      const told = await renegotiate(server, (link.address() as net.AddressInfo).port);
      await close(link as tls.Server);
      await close(server);
      return told;
    });
  }
}

test('a PrivateKey that fails in a renegotiation is told of once', async () => {
  const key = remoteKey(issued.keyPem, 'turn');
  let signed = 0;
  const failing: PrivateKey = {
    ...key,
    sign: (operation) => {
      signed += 1;
      return signed === 1 ? key.sign(operation) : Promise.reject(new Error('no more'));
    },
  };
  const server = createServer({ cert: issued.certPem, key: failing, maxVersion: 'TLSv1.2' });
  const told = await renegotiate(server, await listen(server));
  const errors = told.filter((entry) => typeof entry !== 'string') as { code: string }[];
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['ERR_KEYLESS_OPERATION_FAILED'],
  );
  await close(server);
});
