/** What `keyless-tls check` says of keys that cannot everything. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { checkSignature } from '../../../lib/cli/check-signature.ts';
import { connectKeyServers } from '../../../lib/index.ts';
import type { KeyServerOptions } from '../../../lib/server/key-server.ts';
import type { StoredKey } from '../../../lib/server/key-store.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;

before(async () => {
  setup = await makeKeyServers(['rsa', 'p256', 'ed25519']);
});

async function checked(kind: string, options: Partial<KeyServerOptions> = {}): Promise<string> {
  await using server = await setup.start(options);
  const servers = [`127.0.0.1:${server.port}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions });
  try {
    return await checkSignature(keys, new X509Certificate(setup.sites[kind]!.certPem), 5000);
  } finally {
    keys.close();
  }
}

test('a key that signs for both versions is all well', async () => {
  for (const [kind, said] of [
    ['rsa', /^TLS 1\.3 with rsa_pss_rsae_sha256 in [\d.]+ ms, TLS 1\.2 with rsa_pkcs1_sha256 in [\d.]+ ms$/],
    ['p256', /^TLS 1\.3 with ecdsa_secp256r1_sha256 in [\d.]+ ms, TLS 1\.2 with ecdsa_secp256r1_sha256 in /],
    ['ed25519', /^TLS 1\.3 with ed25519 in [\d.]+ ms, TLS 1\.2 with ed25519 in /],
  ] as const)
    assert.match(await checked(kind), said);
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

test('a key that signs for neither fails, with the reason', async () => {
  await assert.rejects(checked('rsa', { contexts: ['digest'] }), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
});
