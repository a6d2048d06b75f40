/** The addon's signatures are node:crypto's, here and in the pool; what it does not sign, it does not take. */
import assert from 'node:assert/strict';
import { constants, createHash, generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto';
import { test } from 'node:test';
import { digestSigner } from '../../../lib/engine/digest-signer.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const rsaPss = generateKeyPairSync('rsa-pss', {
  modulusLength: 2048,
  hashAlgorithm: 'sha256',
  mgf1HashAlgorithm: 'sha256',
  saltLength: 32 as never, // the types want a string, which Node.js refuses
});

type Case = readonly [
  name: string,
  pair: { privateKey: KeyObject; publicKey: KeyObject },
  hash: string,
  pss: boolean,
];
const CASES: readonly Case[] = [
  ['RSA PKCS#1', rsa, 'sha256', false],
  ['RSA PKCS#1, SHA-512', rsa, 'sha512', false],
  ['RSA PSS', rsa, 'sha256', true],
  ['RSA PSS, SHA-384', rsa, 'sha384', true],
  ['an RSA-PSS key', rsaPss, 'sha256', true],
  ['P-256', p256, 'sha256', false],
  ['P-521', p521, 'sha512', false],
];

for (const [name, { privateKey, publicKey }, hash, pss] of CASES) {
  test(`${name}: node:crypto verifies each signature, here and in the pool`, async () => {
    const signer = digestSigner(privateKey, hash, pss)!;
    const padding = {
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    };
    const good = (message: Buffer, signature: Uint8Array) =>
      verify(hash, message, pss ? { key: publicKey, ...padding } : publicKey, signature);
    const messages = Array.from({ length: 30 }, () => randomBytes(130));
    const digests = messages.map((message) => createHash(hash).update(message).digest());
    const here = digests.map((digest) => signer.sign(digest));
    const there = await Promise.all(digests.map((digest) => signer.signInPool(digest)));
    const hashed = messages.map((message) => signer.signMessage(message));
    for (const [index, message] of messages.entries()) {
      assert.ok(good(message, hashed[index]!));
      assert.ok(good(message, here[index]!));
      assert.ok(good(message, there[index]!));
    }
  });
}

test('what is no digest at all is refused in the pool, too, and those beside it are signed', async () => {
  const signer = digestSigner(rsa.privateKey, 'sha256', true)!;
  for (const none of [undefined, null, 'x'.repeat(32), new DataView(new ArrayBuffer(32))] as never[]) {
    const beside = signer.signInPool(randomBytes(32));
    await assert.rejects(signer.signInPool(none), TypeError);
    assert.equal((await beside).length, 256);
  }
});

test('a digest of another length is refused, and the next one signed', async () => {
  const signer = digestSigner(rsa.privateKey, 'sha256', true)!;
  for (const length of [0, 31, 33, 4096]) {
    assert.throws(() => signer.sign(randomBytes(length)), /does not sign/);
    await assert.rejects(signer.signInPool(randomBytes(length)), /does not sign/);
  }
  assert.equal(signer.sign(randomBytes(32)).length, 256);
  assert.equal((await signer.signInPool(randomBytes(32))).length, 256);
});

test('keys and methods that it does not know are not taken', () => {
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  assert.equal(digestSigner(ed25519, 'sha256', false), undefined);
  assert.equal(digestSigner(rsa.privateKey, 'none', false), undefined);
  assert.equal(digestSigner(p256.privateKey, 'sha256', true), undefined);
  assert.equal(digestSigner(rsaPss.privateKey, 'sha256', false), undefined);
});
