import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createKeyServer, type KeyServerOptions } from '../../../lib/server/key-server.ts';
import { keyStoreOf } from '../../../lib/server/pem-directory.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;

before(async () => {
  setup = await makeKeyServers([]);
});

test('wrong options are told before anything listens', () => {
  const good = {
    cert: setup.server.certPem,
    key: setup.server.keyPem,
    ca: setup.authority.certPem,
    keys: keyStoreOf([]),
  };
  const wrong: Partial<Record<keyof KeyServerOptions, unknown>>[] = [
    { cert: undefined },
    { key: null },
    { ca: undefined },
    { keys: undefined },
    { keys: {} },
    { contexts: ['tls11-server'] },
    { maxConnections: 0 },
    { maxInFlight: 1.5 },
    { idleTimeoutMs: '5' },
    { handshakeTimeoutMs: 2 ** 31 },
    { replayWindowMs: -1 },
    { replayWindowMs: Number.NaN },
  ];
  for (const options of wrong) {
    const all = { ...good, ...options } as KeyServerOptions;
    assert.throws(
      () => createKeyServer(all),
      { code: 'ERR_KEYLESS_INVALID_ARGUMENT' },
      JSON.stringify(options),
    );
  }
  assert.throws(() => createKeyServer({ ...good, cert: 'no certificate' }));
});

test('a port that is taken rejects listen()', async () => {
  const first = await setup.start();
  const second = createKeyServer({
    cert: setup.server.certPem,
    key: setup.server.keyPem,
    ca: setup.authority.certPem,
    keys: keyStoreOf([]),
  });
  await assert.rejects(second.listen(first.port), { code: 'EADDRINUSE' });
  await first.close();
});

test('close() of a server that never listened, and twice, resolves', async () => {
  const server = await setup.start();
  assert.equal(server.address()?.port, server.port);
  await Promise.all([server.close(), server.close()]);
  assert.equal(server.address(), null);
  await createKeyServer({
    cert: setup.server.certPem,
    key: setup.server.keyPem,
    ca: setup.authority.certPem,
    keys: keyStoreOf([]),
  }).close();
});
