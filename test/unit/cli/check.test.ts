/** What `keyless-tls check` says of keys that cannot everything. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { explain } from '../../../lib/cli/check-refusal.ts';
import { checkSignature } from '../../../lib/cli/check-signature.ts';
import { connectionError, noKeyServer } from '../../../lib/client/errors.ts';
import { KeylessError } from '../../../lib/errors.ts';
import { connectKeyServers } from '../../../lib/index.ts';
import { type ServerConnectionRefused, serverConnectionRefused } from '../../../lib/server/channels.ts';
import type { KeyServerOptions } from '../../../lib/server/key-server.ts';
import type { StoredKey } from '../../../lib/server/key-store.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import { type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { until } from '../../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;

const refusals = new EventEmitter();
serverConnectionRefused.subscribe((message) => refusals.emit('refused', message));

before(async () => {
  setup = await makeKeyServers(['rsa', 'p256', 'ed25519']);
});

function checked(kind: string, options?: Partial<KeyServerOptions>): Promise<string> {
  return checkedSite(setup.sites[kind]!.certPem, options);
}

async function checkedSite(certPem: string, options: Partial<KeyServerOptions> = {}): Promise<string> {
  await using server = await setup.start(options);
  const servers = [`127.0.0.1:${server.port}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions });
  try {
    return await checkSignature(keys, new X509Certificate(certPem), 5000);
  } finally {
    keys.close();
  }
}

interface Edge {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What check says of a key server that does not let an edge in, or is not let in. */
async function refused(port: number, edge: Edge, servername?: string): Promise<string> {
  const options = { servers: [`127.0.0.1:${port}`], ...edge, servername };
  const keys = connectKeyServers(options);
  try {
    await keys.ready();
  } catch (error) {
    return explain(error as Error, { cert: Buffer.from(edge.cert), ca: Buffer.from(edge.ca) });
  } finally {
    keys.close();
  }
  return assert.fail('it was let in');
}

const edgeOf = ({ certPem: cert, keyPem: key }: Issued): Edge => ({
  ...{ cert, key },
  ca: setup.authority.certPem,
});

test('where a key server refuses the edge, check says what is wrong with the certificate, by name', async () => {
  const stranger = await makeAuthority('Strangers');
  const client = { type: 'p256', usage: 'client' } as const;
  await using server = await setup.start({
    grants: { clients: [{ name: 'a', identities: ['DNS:a.internal'] }] },
  });
  const cases: readonly (readonly [Issued, RegExp, RegExp])[] = [
    [
      await stranger.issue(client),
      /issued by "CN=Strangers", which is not in --ca/,
      /UNABLE_TO_(GET_ISSUER_CERT_LOCALLY|VERIFY_LEAF_SIGNATURE)/,
    ],
    [
      await setup.authority.issue({ ...client, days: -1 }),
      /Of our certificate: it was valid until /,
      /CERT_HAS_EXPIRED/,
    ],
    [
      await setup.authority.issue({ ...client, usage: 'server' }),
      /extended key usage does not allow client/,
      /INVALID_PURPOSE/,
    ],
    [
      await setup.authority.issue({ ...client, dns: ['b.internal'] }),
      /Our certificate is valid now.* the policy does not name us \(DNS:b\.internal, IP Address:127\.0\.0\.1, sha256\/.*=\), or we were revoked/,
      /policy names no such client, or it was revoked: DNS:b\.internal, IP Address:127\.0\.0\.1, sha256\/.*=\./,
    ],
  ];
  for (const [edge, said, why] of cases) {
    const refusal = once(refusals, 'refused') as Promise<[ServerConnectionRefused]>;
    const text = await refused(server.port, edgeOf(edge));
    assert.match(text, /^The key server refused this side: /);
    assert.match(text, said);
    assert.match((await refusal)[0].error.message, why);
  }
});

test("where a key server's own revocation lists keep it from taking anybody, check does not say that it is our certificate", async () => {
  const north = await setup.authority.subordinate('North');
  await using server = await setup.start({ crl: await north.revoke([]) });
  const refusal = once(refusals, 'refused') as Promise<[ServerConnectionRefused]>;
  const text = await refused(server.port, edgeOf(setup.edge));
  assert.match(text, /^The key server refused this side: something of its own keeps it from taking us/);
  assert.match((await refusal)[0].error.message, /UNABLE_TO_GET_CRL/);
});

test('where this side refuses, check says that it did', async () => {
  const stranger = await makeAuthority('Strangers');
  await using server = await setup.start();
  const own = edgeOf(setup.edge);
  for (const text of [
    await refused(server.port, { ...own, ca: stranger.certPem }),
    await refused(server.port, own, 'other.example.org'),
  ])
    assert.match(text, /^This side refused the other: The certificate of the key server .* was not accepted/);
});

/** Of OpenSSL 3.0, and of 3.5, which has other names for those of SSL 3.0. */
const ALERTS: Readonly<Record<string, RegExp>> = {
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: /does not know the authority of our certificate/,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: /our certificate has expired/,
  'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED': /our certificate has expired/,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: /our certificate is broken/,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: /our certificate was revoked/,
  ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: /not for clients/,
  ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR: /something of its own/,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: /got no certificate of ours/,
};

test('where a key server sends an alert, check says what it means', () => {
  for (const [code, said] of Object.entries(ALERTS)) {
    const cause = Object.assign(new Error('alert'), { code });
    const error = noKeyServer(connectionError(cause, 'keys.internal:2407'));
    const edge = { cert: Buffer.from(setup.edge.certPem), ca: Buffer.from(setup.authority.certPem) };
    const text = explain(error, edge);
    assert.match(text, /^The key server refused this side: /);
    assert.match(text, said, code);
  }
});

test('the alert of a server of OpenSSL that has another authority is told of', async (t) => {
  const stranger = await makeAuthority('Strangers');
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-check-'));
  const at = (name: string) => join(folder, name);
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(at('ca.crt'), stranger.certPem);
  writeFileSync(at('server.pem'), setup.server.certPem + setup.server.keyPem);
  const verify = ['-Verify', '1', '-verify_return_error', '-CAfile', at('ca.crt')];
  const args = ['s_server', '-accept', '127.0.0.1:0', '-cert', at('server.pem'), ...verify];
  const program = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  t.after(() => program.kill('SIGKILL'));
  let said = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(() => /ACCEPT .*:\d+/.test(said));
  const port = Number(/ACCEPT .*:(\d+)/.exec(said)![1]);
  assert.match(
    await refused(port, edgeOf(setup.edge)),
    /^The key server refused this side: it does not know the authority of our certificate/,
  );
});

test('a key that signs for both versions is all well', async () => {
  for (const [kind, said] of [
    ['rsa', /^TLS 1\.3 with rsa_pss_rsae_sha256 in [\d.]+ ms, TLS 1\.2 with rsa_pkcs1_sha256 in [\d.]+ ms$/],
    ['p256', /^TLS 1\.3 with ecdsa_secp256r1_sha256 in [\d.]+ ms, TLS 1\.2 with ecdsa_secp256r1_sha256 in /],
    ['ed25519', /^TLS 1\.3 with ed25519 in [\d.]+ ms, TLS 1\.2 with ed25519 in /],
  ] as const)
    assert.match(await checked(kind), said);
});

test('an RSA-PSS key that is for one hash alone is asked for that', async () => {
  const { privateKey } = generateKeyPairSync('rsa-pss', {
    ...{ modulusLength: 2048, hashAlgorithm: 'sha512', mgf1HashAlgorithm: 'sha512' },
    saltLength: 64 as never, // the types want a string, which Node.js refuses
  });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const { certPem } = await setup.authority.issueFor(keyPem);
  const key = pemKey(keyPem, 'pss');
  assert.match(
    await checkedSite(certPem, { keys: { find: () => key } }),
    /^TLS 1\.3 with rsa_pss_pss_sha512 in [\d.]+ ms, TLS 1\.2 with rsa_pss_pss_sha512 in [\d.]+ ms$/,
  );
});

test('an RSA key without PSS, as an SSH agent has it, is well for TLS 1.2, and what the edge must do is said', async () => {
  const rsa = pemKey(setup.sites.rsa!.keyPem, 'rsa');
  const key: StoredKey = { ...rsa, canSign: ({ algorithm }) => algorithm === 'rsa-pkcs1' };
  assert.match(
    await checked('rsa', { keys: { find: () => key } }),
    /^TLS 1\.2 with rsa_pkcs1_sha256 in [\d.]+ ms, not for TLS 1\.3: .* error 01: .* maxVersion: 'TLSv1\.2', or .*\['rsa_pkcs1_sha256'\]/,
  );
});

test('a key that is for one version by the policy is well for that', async () => {
  assert.match(
    await checked('p256', { contexts: ['tls13-server'] }),
    /^TLS 1\.3 .*, not for TLS 1\.2: .* minVersion/,
  );
});

test('what a key server does not do just now, because of a rate, is not taken for what it cannot', async () => {
  const { pin } = identityOf(new X509Certificate(setup.edge.certPem));
  const rate = { perSecond: 0.01, burst: 1 };
  const grants = { clients: [{ name: 'edge', identities: [pin], rate }] };
  await assert.rejects(checked('p256', { grants }), {
    code: 'ERR_KEYLESS_KEY_SERVER_INTERNAL',
    message: /^TLS 1\.3 with .*; whether for TLS 1\.2, it did not say: .* error 08: .*rate/,
  });
});

test('a key that signs for neither fails, with the reason', async () => {
  await assert.rejects(checked('rsa', { contexts: ['digest'] }), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
});

test('of a key that is not there it is said for which name it was asked: a policy may have others', async () => {
  const grants = {
    clients: [{ name: 'any', identities: ['DNS:localhost'], servernames: ['other.example'] }],
  };
  await assert.rejects(checked('rsa', { grants }), {
    code: 'ERR_KEYLESS_KEY_NOT_FOUND',
    message: /error 02: .*; it was asked for the server name [\w.-]+\.$/,
  });
});

test('where a key cannot sign for the one version, and its holder is away for the other, it is said that the holder is', async () => {
  const { keyId } = setup.sites.rsa!;
  const away: StoredKey = {
    ...{ keyId, label: 'away', kind: { type: 'rsa', curve: undefined, modulusBytes: 256 } },
    canSign: ({ algorithm }) => algorithm === 'rsa-pkcs1',
    sign: () => Promise.reject(new KeylessError('ERR_KEYLESS_KEY_STORE', 'locked')),
  };
  await assert.rejects(checked('rsa', { keys: { find: () => away } }), {
    code: 'ERR_KEYLESS_KEY_SERVER_READ',
  });
});
