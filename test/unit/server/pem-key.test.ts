import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, publicEncrypt } from 'node:crypto';
import test from 'node:test';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import { rsaRawDecryptInThread } from '../../../lib/signing/raw-rsa-thread.ts';

const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stored = pemKey(pem(rsa.privateKey), 'rsa');

test('RSA never runs on the event loop, P-256 and Ed25519 do', async () => {
  const message = Buffer.from('message');
  const answers = [
    stored.sign(SIGNING_METHODS.rsa_pss_rsae_sha256, message),
    stored.signDigest!(SIGNING_METHODS.rsa_pkcs1_sha256, Buffer.alloc(32)),
    stored.decryptRaw!(Buffer.alloc(256, 1)),
  ];
  for (const answer of answers) assert.ok(answer instanceof Promise);
  await Promise.all(answers);
  const p256 = pemKey(pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey), 'p256');
  assert.ok(p256.sign(SIGNING_METHODS.ecdsa_secp256r1_sha256, message) instanceof Uint8Array);
  const ed25519 = pemKey(pem(generateKeyPairSync('ed25519').privateKey), 'ed25519');
  assert.ok(ed25519.sign(SIGNING_METHODS.ed25519, message) instanceof Uint8Array);
});

test('many raw decryptions at once each get their own block', async () => {
  const inputs = Array.from({ length: 20 }, (_, at) => Buffer.alloc(48, at));
  const encrypt = (bytes: Buffer) =>
    publicEncrypt({ key: rsa.publicKey, padding: constants.RSA_PKCS1_PADDING }, bytes);
  const blocks = await Promise.all(inputs.map((bytes) => stored.decryptRaw!(encrypt(bytes))));
  assert.deepEqual(
    blocks.map((block) => Buffer.from(block.subarray(-48))),
    inputs,
  );
});

test('the thread that decrypts without the addon holds no process for bytes that were given away', async () => {
  const given = new Uint8Array(256);
  structuredClone(given.buffer, { transfer: [given.buffer] });
  const ports = () => process.getActiveResourcesInfo().filter((each) => each === 'MessagePort').length;
  const before = ports();
  await assert.rejects(rsaRawDecryptInThread(rsa.privateKey, given), TypeError);
  assert.equal((await rsaRawDecryptInThread(rsa.privateKey, Buffer.alloc(256, 1))).length, 256);
  assert.equal(ports(), before);
});

test('what is not below the modulus is refused as that, and the next one is decrypted', async () => {
  for (const bad of [Buffer.alloc(256, 0xff), Buffer.alloc(255), Buffer.alloc(257)]) {
    await assert.rejects(async () => stored.decryptRaw!(bad), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
  assert.equal((await stored.decryptRaw!(Buffer.alloc(256, 1))).length, 256);
});

test('keys that are bound to PSS do not decrypt', () => {
  const { decryptRaw, kind } = pemKey(
    pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey),
    'pss',
  );
  assert.deepEqual([decryptRaw, kind.type], [undefined, 'rsa-pss']);
});
