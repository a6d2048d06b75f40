/** By which groups strangers, edges and key servers agree on the secret of a connection: what they cost, by what is negotiated. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { secureContextOf } from '../../../lib/keys/key-servers-options.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { CHEAP_GROUPS, COSTLY_GROUPS, groupAgreedOn } from '../../helpers/key-agreement.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { isServed } from '../../helpers/sent-certificates.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let server: KeyServer & { readonly port: number };
before(async () => {
  setup = await makeKeyServers([]);
  server = await setup.start();
});
after(() => setup.close());

/** A stranger's, which has no certificate. */
function agreed(ecdhCurve: string, options: tls.ConnectionOptions = {}): Promise<string> {
  return groupAgreedOn({ port: server.port, ca: setup.authority.certPem, ecdhCurve, ...options });
}

for (const change of ['as it starts', 'after setCredentials()']) {
  test(`a key server takes cheap groups and no others, ${change}`, async () => {
    const { cert, key } = { cert: setup.server.certPem, key: setup.server.keyPem };
    if (change !== 'as it starts') server.setCredentials({ cert, key, ca: setup.authority.certPem });
    for (const [group, told] of Object.entries(CHEAP_GROUPS)) assert.equal(await agreed(group), told);
    for (const group of COSTLY_GROUPS) assert.match(await agreed(group), /^refused: .*ALERT/, group);
    assert.match(await agreed('P-521', { maxVersion: 'TLSv1.2' }), /^refused: .*ALERT/);
  });
}

test('whoever offers a costly group first gets a cheap one', async () => {
  assert.equal(await agreed('ffdhe8192:P-521:X25519:P-384'), 'X25519');
});

test('an edge that may use the curves of FIPS 186 only is served', async () => {
  for (const ecdhCurve of ['P-256', 'P-384']) {
    const peer = await connectPeer(server.port, setup.edgeOptions, 'ours', { ecdhCurve });
    assert.equal(await isServed(peer), true);
    peer.close();
  }
});

/** An app's own choice, for all its connections. */
function withDefault(context: TestContext, curve: string): void {
  const before = tls.DEFAULT_ECDH_CURVE;
  tls.DEFAULT_ECDH_CURVE = curve;
  context.after(() => {
    tls.DEFAULT_ECDH_CURVE = before;
  });
}

test('edge and key server agree, whatever the app has its own connections agree by', async (context) => {
  withDefault(context, 'P-521');
  const secureContext = secureContextOf(setup.edgeOptions);
  const peer = await connectPeer(server.port, { ca: setup.authority.certPem }, 'ours', { secureContext });
  assert.equal(await isServed(peer), true);
  peer.close();
});

test('an edge agrees with key servers that take one curve only', async () => {
  for (const ecdhCurve of [...Object.keys(CHEAP_GROUPS), 'P-521']) {
    const { certPem: cert, keyPem: key } = setup.server;
    const field = tls.createServer({ cert, key, ecdhCurve }).listen(0, '127.0.0.1');
    await once(field, 'listening');
    after(() => field.close());
    const { port } = field.address() as { port: number };
    const secureContext = secureContextOf(setup.edgeOptions);
    const peer = await connectPeer(port, { ca: setup.authority.certPem }, 'ours', { secureContext });
    peer.close();
    await peer.closed;
    field.close();
  }
});

test('a client of TLS 1.1 is told that it is too old, not that nothing fits', async () => {
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
  assert.equal(await agreed('X25519', old), 'refused: ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
});
