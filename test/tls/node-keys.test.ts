/** Servers whose keys are Node's own, beside keyless ones. Under isolate there are none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import tls, { type ConnectionOptions, type TLSSocket, type TlsOptions } from 'node:tls';
import {
  configureEngine,
  createSecureContext,
  createServer,
  engineStats,
  type KeylessError,
} from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';
import { remoteKey } from '../helpers/parity.ts';

let authority: Authority;
let first: Issued;
let other: Issued;

before(async () => {
  authority = await makeAuthority();
  [first, other] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'rsa' })]);
});

test("setKeyCert in the middle of a flight that is only Node's says what to do", async () => {
  const context = createSecureContext({ cert: first.certPem, key: remoteKey(first.keyPem, 'sync') });
  const codes: unknown[] = [];
  const server = tls.createServer({ cert: first.certPem, key: first.keyPem, minVersion: 'TLSv1.3' });
  server.once('keylog', (_line, socket) => {
    try {
      socket.setKeyCert(context);
    } catch (error) {
      codes.push((error as KeylessError).code);
    }
  });
  const port = await listen(server);
  const client = tls.connect({ port, host: '127.0.0.1', ca: authority.certPem, servername: 'localhost' });
  await once(client, 'secureConnect');
  assert.deepEqual(codes, ['ERR_KEYLESS_STATE']);
  client.destroy();
  await close(server);
});

test("sockets whose keys are Node's do not wait for a place among keyless ones", async (test) => {
  configureEngine({ maxPausedHandshakes: 1 });
  test.after(() => configureEngine({ maxPausedHandshakes: 10_000 }));
  const never = { sign: () => new Promise<Uint8Array>(() => {}), timeoutMs: 60_000 };
  const stuck = createServer({ cert: first.certPem, key: never });
  stuck.on('tlsClientError', () => {});
  const stuckPort = await listen(stuck);
  const waiting = [1, 2, 3].map(() =>
    tls.connect({ port: stuckPort, host: '127.0.0.1', rejectUnauthorized: false }),
  );
  for (const socket of waiting) socket.on('error', () => {});
  const refused = once(stuck, 'tlsClientError');
  assert.equal(((await refused)[0] as KeylessError).code, 'ERR_KEYLESS_TOO_MANY_HANDSHAKES');
  const context = createSecureContext({ cert: other.certPem, key: remoteKey(other.keyPem, 'sync') });
  const outcome = async (exchanges: boolean): Promise<unknown> => {
    const server = tls.createServer({
      cert: first.certPem,
      key: first.keyPem,
      ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
        if (exchanges) this.setKeyCert(context);
        return protocols[0];
      },
    } as unknown as TlsOptions);
    const failed = once(server, 'tlsClientError').then(([error]) => (error as KeylessError).code);
    const port = await listen(server);
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['a'] });
    client.on('error', () => {});
    const result = await Promise.race([
      once(client, 'secureConnect').then(() => client.alpnProtocol),
      failed,
    ]);
    client.destroy();
    await close(server);
    return result;
  };
  assert.equal(await outcome(false), 'a');
  assert.equal(
    await outcome(true),
    'ERR_KEYLESS_TOO_MANY_HANDSHAKES',
    'with a keyless key it is one of them',
  );
  for (const socket of waiting.slice(1)) socket.destroy();
  await until(() => engineStats().queued === 0);
  const queued = outcome(true);
  await until(() => engineStats().queued === 1);
  waiting[0]!.destroy();
  assert.equal(await queued, 'a', 'it has waited for its turn');
  await close(stuck);
});

test("RSA-PSK under an RSA key of Node's, in a context of a keyless server and in one chosen by name", async () => {
  const psk = Buffer.alloc(32, 1);
  const p256 = await authority.issue({ type: 'p256' });
  const native = tls.createSecureContext({ cert: first.certPem, key: first.keyPem });
  const ciphers = 'RSA-PSK-AES128-GCM-SHA256';
  const shared = { pskCallback: () => psk, ciphers, maxVersion: 'TLSv1.2' };
  const key = remoteKey(p256.keyPem, 'sync');
  type Options = Parameters<typeof createServer>[0];
  const late: TlsOptions['SNICallback'] = (_, done) => done(null, native);
  const servers = [
    createServer({
      ...shared,
      cert: [p256.certPem, first.certPem],
      key: [key, first.keyPem],
    } as Options),
    createServer({
      ...shared,
      cert: p256.certPem,
      key,
      SNICallback: late,
    } as Options),
  ];
  for (const server of servers) {
    const client = tls.connect({
      port: await listen(server),
      host: '127.0.0.1',
      servername: 'localhost',
      ca: authority.certPem,
      ciphers,
      maxVersion: 'TLSv1.2',
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk, identity: 'me' }),
    } as unknown as ConnectionOptions);
    await once(client, 'secureConnect');
    assert.equal(client.getCipher().name, ciphers);
    client.destroy();
    await close(server);
  }
});
