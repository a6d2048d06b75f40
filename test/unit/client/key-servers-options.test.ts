/** Options of connectKeyServers that cannot be meant. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { KeylessError } from '../../../lib/errors.ts';
import { connectKeyServers, type KeyServersOptions } from '../../../lib/keys/key-servers.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;
before(async () => {
  setup = await makeKeyServers([]);
});

test('wrong options are told at once', () => {
  const wrong: Partial<Record<keyof KeyServersOptions, unknown>>[] = [
    { servers: [] },
    { servers: 'host:1' },
    { servers: ['host:99999'] },
    { cert: undefined },
    { ca: undefined },
    // Of these Node takes no notice, and trusts its own authorities.
    ...['', false, [], [''], Buffer.alloc(0)].map((ca) => ({ ca })),
    { cert: '' },
    { key: '' },
    { timeoutMs: 0 },
    { timeoutMs: 2 ** 31 },
    { pingIntervalMs: 1.5 },
    { connectTimeoutMs: '5' },
    { servername: 5 },
    { servername: 5, servers: undefined, srv: 'keys' },
    { lookup: 'dns' },
    { resolveSrv: 5, servers: undefined, srv: 'keys' },
    { resolveSrv: 5 },
    { schemes: 'ed25519' },
    { schemes: [] },
    { schemes: ['rot13'] },
    { schemes: [['ed25519']] },
    { schemes: null },
    { verify: 'sometimes' },
    { verify: true },
    { decrypt: 'no' },
    { decrypt: null },
    { sendAddresses: 1 },
  ];
  for (const options of wrong) {
    const all = { servers: ['127.0.0.1:1'], ...setup.edgeOptions, ...options } as KeyServersOptions;
    assert.throws(
      () => connectKeyServers(all),
      { code: 'ERR_KEYLESS_INVALID_ARGUMENT' },
      JSON.stringify(options),
    );
  }
  for (const none of [undefined, null, 'keys'])
    assert.throws(() => connectKeyServers(none as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
});

test('half of an authority or of a certificate is told: OpenSSL would leave it out in silence', () => {
  const { cert, ca } = setup.edgeOptions;
  const keys = connectKeyServers({ servers: ['127.0.0.1:1'], ...setup.edgeOptions });
  for (const half of [
    { ca: ca + ca.slice(0, 300) },
    { ca: [ca, ca.slice(0, 300)] },
    { cert: cert + cert.slice(0, 300) },
  ]) {
    const wrong = { ...setup.edgeOptions, ...half };
    const refusal = {
      code: 'ERR_KEYLESS_INVALID_ARGUMENT',
      message: /^"(ca|cert)" has a block in PEM that is not whole/,
    };
    assert.throws(() => connectKeyServers({ servers: ['127.0.0.1:1'], ...wrong }), refusal);
    assert.throws(() => keys.setCredentials(wrong), refusal);
  }
  keys.close();
});

test('of a list of authorities some may be empty', () => {
  const { ca } = setup.edgeOptions;
  for (const list of [
    [ca, ''],
    [Buffer.alloc(0), ca],
  ] as never[])
    connectKeyServers({ servers: ['127.0.0.1:1'], ...setup.edgeOptions, ca: list }).close();
});

test('a set of key servers that is given nothing says so', () => {
  const keys = connectKeyServers({ servers: ['127.0.0.1:1'], ...setup.edgeOptions });
  const refused = new KeylessError('ERR_KEYLESS_BAD_SIGNATURE', 'refused');
  assert.throws(() => keys.setCredentials({ ...setup.edgeOptions, ca: '' }), { message: /needs "ca"/ });
  for (const none of [undefined, null, {}] as never[]) {
    assert.throws(() => keys.setCredentials(none), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
    assert.equal(keys.signAgain(none, refused), undefined, 'there is no other signature');
    keys.onRefused(none, refused);
  }
  keys.close();
});
