import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import { createKeyServer, type KeyServerOptions } from '../../../lib/server/key-server.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { keyStoreOf } from '../../../lib/server/pem-directory.ts';
import { parsePolicy } from '../../../lib/server/policy-file.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

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

test('what can be nobody is not revoked in silence, and the policy there was stays', async () => {
  const clients = [{ name: 'edge', identities: [identityOf(new X509Certificate(setup.edge.certPem)).pin] }];
  await using server = await setup.start({ grants: { clients } });
  for (const revoked of [
    ['edge-1'],
    ['sha256/ABC='],
    ['aa:bb'],
    'DNS:edge-1',
    [undefined],
    null,
  ] as never[]) {
    const told = { code: 'ERR_KEYLESS_INVALID_ARGUMENT', message: /^"grants"\.revoked must list/ };
    await assert.rejects(setup.start({ grants: { clients, revoked } }), told);
    assert.throws(() => server.setGrants({ clients: [], revoked }), told);
  }
  const peer = await connectPeer(server.port, setup.edgeOptions);
  assert.equal((await peer.ask(pingRequest())).kind, 'pong');
  peer.close();
});

test('grants that are misspelt, or of another form, are told, and not taken for no limit', async () => {
  const client = { name: 'edge', identities: ['DNS:edge-1'] };
  const ofClient = (more: object) => ({ clients: [client, { ...client, ...more }] });
  const ofKey = (name: string, rule: object) => ({ clients: [], keys: { [name]: rule } });
  const id = 'AB'.repeat(20);
  const BY_KEY_ID = '"grants".keys must be an object by key ids, 40 hexadecimal digits each.';
  const cases: readonly [grants: unknown, message: string][] = [
    [ofClient({ servername: ['a.example'] }), '"grants".clients.1.servername is no member that is known.'],
    [ofClient({ servernames: 'a.example' }), '"grants".clients.1.servernames must be an array of strings.'],
    [ofClient({ decrypt: 'no' }), '"grants".clients.1.decrypt must be a boolean.'],
    [ofClient({ rate: 5 }), '"grants".clients.1.rate must be an object.'],
    [
      ofClient({ rate: { perSecond: Number.NaN } }),
      '"grants".clients.1.rate.perSecond must be a number above 0.',
    ],
    [ofClient({ ratePerKey: {} }), '"grants".clients.1.ratePerKey.perSecond must be a number above 0.'],
    [ofClient({ tickets: {} }), '"grants".clients.1.tickets.group must be a string.'],
    [ofClient({ identities: undefined }), '"grants".clients.1.identities must be an array of strings.'],
    [ofKey(id, { use: ['sign'] }), `"grants".keys.${id}.use is no member that is known.`],
    [ofKey('www', { uses: ['sign'] }), BY_KEY_ID],
    [{ clients: [], keys: [] }, BY_KEY_ID],
    [
      { clients: [], ticketGeneration: -1 },
      '"grants".ticketGeneration must be a whole number from 0 to 4,294,967,295.',
    ],
    [{ version: 2, clients: [] }, '"grants".version must be 1.'],
    [{ client: [] }, '"grants".client is no member that is known.'],
    [{}, '"grants".clients must be an array.'],
    [null, '"grants" must be an object.'],
    ['all', '"grants" must be an object.'],
  ];
  await using server = await setup.start();
  server.setGrants(parsePolicy('{"version":1,"clients":[]}'));
  for (const [grants, message] of cases) {
    const told = { code: 'ERR_KEYLESS_INVALID_ARGUMENT', message };
    assert.throws(() => server.setGrants(grants as never), told);
    await assert.rejects(setup.start({ grants: grants as never }), told);
  }
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
