/** `isolatedKey()` as the key of a server: what it takes, and that it signs. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { isolatedKey } from '../../../lib/keepers/isolated-key.ts';
import { type KeyKind, makeAuthority } from '../../helpers/certificates.ts';
import { childrenOf } from '../../helpers/child-processes.ts';
import { handshakeWith } from '../../helpers/one-handshake.ts';

let authority: Awaited<ReturnType<typeof makeAuthority>>;

before(async () => {
  authority = await makeAuthority();
});

for (const type of [
  'rsa',
  'rsa-pss',
  'p256',
  'p384',
  'p521',
  'ed25519',
  'ed448',
] as const satisfies KeyKind[]) {
  test(`a server with an isolated ${type} key shakes hands`, async () => {
    const issued = await authority.issue({ type });
    const server = { cert: issued.certPem, key: isolatedKey(issued.keyPem) };
    assert.equal(await handshakeWith(authority.certPem, server), 'TLSv1.3');
  });
}

test('an isolated RSA key decrypts premasters, and signs PKCS#1 for TLS 1.2', async () => {
  const issued = await authority.issue({ type: 'rsa' });
  const key = isolatedKey(issued.keyPem);
  for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256']) {
    const client = { ciphers, maxVersion: 'TLSv1.2', sigalgs: 'RSA+SHA256' } as const;
    const server = { cert: issued.certPem, key, ciphers };
    assert.equal(await handshakeWith(authority.certPem, server, client), 'TLSv1.2');
  }
});

test('it takes PEM, encrypted PEM and key objects, and says whose key it is', async () => {
  const issued = await authority.issue({ type: 'p256' });
  const object = createPrivateKey(issued.keyPem);
  const encrypted = object.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
  const keys = [
    isolatedKey(Buffer.from(issued.keyPem)),
    isolatedKey(object),
    isolatedKey({ key: encrypted, passphrase: 'x' }),
    isolatedKey(encrypted, { passphrase: 'x', timeoutMs: 5000 }),
  ];
  assert.equal(new Set(keys.map(({ publicKey }) => Buffer.from(publicKey!).toString('hex'))).size, 1);
  assert.equal(keys[3]!.timeoutMs, 5000);
  // That of the processes is for their silence, not for the handshakes that come before this one.
  assert.equal(keys[0]!.timeoutMs, 2_147_483_647);
  assert.equal(await handshakeWith(authority.certPem, { cert: issued.certPem, key: keys[3]! }), 'TLSv1.3');
});

test('a "timeoutMs" longer than 10 s is also for processes that are stopped', async () => {
  const issued = await authority.issue({ type: 'p256' });
  const key = isolatedKey(issued.keyPem, { timeoutMs: 60_000 });
  const server = { cert: issued.certPem, key };
  assert.equal(await handshakeWith(authority.certPem, server), 'TLSv1.3');
  const processes = childrenOf(process.pid);
  assert.equal(processes.length, 2);
  for (const pid of processes) process.kill(pid, 'SIGSTOP');
  const version = handshakeWith(authority.certPem, server);
  await wait(10_500);
  for (const pid of processes) process.kill(pid, 'SIGCONT');
  assert.equal(await version, 'TLSv1.3');
});

test('what is no key for it is refused with what to do', () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  const curve = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
  const wrong = { code: 'ERR_KEYLESS_INVALID_ARGUMENT', message: /^isolatedKey\(\) needs / };
  for (const key of [publicKey, curve, 'text', undefined as never]) {
    assert.throws(() => isolatedKey(key), wrong);
  }
});
