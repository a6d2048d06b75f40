/** RSA key exchange comes to its operation in the client's second flight: then, too, there may be no room. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { configureEngine, createServer, engineStats, localKey } from '../../lib/index.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { begin, clientHello, secondFlight } from '../helpers/premaster-client.ts';

configureEngine({ maxPausedHandshakes: 1 });
after(() => configureEngine({ maxPausedHandshakes: 10_000 }));

test('a key exchange for which there is no room is refused once, and without its operation', async () => {
  const { certPem: cert, keyPem } = await (await makeAuthority()).issue({ type: 'rsa' });
  const { sign } = localKey(keyPem);
  let asked = 0;
  let answer: (premaster: Uint8Array) => void = () => undefined;
  const decrypt = () => {
    asked += 1;
    return new Promise<Uint8Array>((resolve) => (answer = resolve));
  };
  const server = createServer({ cert, key: { sign, decrypt } });
  const codes: unknown[] = [];
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => codes.push(error.code));
  const port = await listen(server);
  const before = engineStats().refused;
  const clients = [];
  for (let client = 0; client < 3; client += 1) clients.push(await begin(port, clientHello()));
  const [asks, waits, refused] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
  const exchange = () => secondFlight(randomBytes(256).fill(0, 0, 1));
  asks.socket.write(exchange());
  await until(() => asked === 1);
  waits.socket.write(exchange());
  await until(() => engineStats().queued === 1);
  refused.socket.write(exchange());
  await once(refused.socket.resume(), 'close').catch(() => undefined);
  assert.deepEqual(codes, ['ERR_KEYLESS_TOO_MANY_HANDSHAKES']);
  assert.deepEqual([asked, engineStats().refused - before], [1, 1]);
  for (const { socket } of clients) socket.destroy();
  answer(randomBytes(48));
  await close(server);
});
