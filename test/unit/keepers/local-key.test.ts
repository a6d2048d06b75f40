import assert from 'node:assert/strict';
import {
  constants,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto';
import test from 'node:test';
import { localKey } from '../../../lib/keepers/local-key.ts';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import { keyKindOf, schemesOf } from '../../../lib/signing/key-kind.ts';
import { decryptOperation, signOperation } from '../../helpers/operations.ts';

const KEYS: Readonly<Record<string, { publicKey: KeyObject; privateKey: KeyObject }>> = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-pss': generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
};
const ID = Buffer.alloc(20);
const MESSAGE = Buffer.from('what a handshake signs');

for (const [name, { publicKey, privateKey }] of Object.entries(KEYS)) {
  for (const sync of [true, false]) {
    test(`a local ${name} key signs with each of its schemes, ${sync ? 'at once' : 'in the thread pool'}`, async () => {
      const key = localKey(privateKey, { sync });
      const schemes = schemesOf(keyKindOf(privateKey));
      assert.ok(schemes.length > 0);
      for (const scheme of schemes) {
        const { algorithm, hash } = SIGNING_METHODS[scheme];
        const answer = key.sign(signOperation(ID, scheme, MESSAGE));
        assert.equal(answer instanceof Uint8Array, sync);
        const padding = {
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        };
        const by = algorithm === 'rsa-pss' ? { key: publicKey, ...padding } : publicKey;
        assert.ok(verify(hash, MESSAGE, by, await answer), scheme);
      }
    });
  }
}

test('only plain RSA keys decrypt, and give the raw block', async () => {
  const premaster = randomBytes(48);
  const { publicKey, privateKey } = KEYS.rsa!;
  const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, premaster);
  const block = Buffer.from(await localKey(privateKey).decrypt!(decryptOperation(ID, ciphertext)));
  assert.deepEqual([block.length, block[0], block[1], block.subarray(-48)], [256, 0, 2, premaster]);
  assert.equal(localKey(KEYS['rsa-pss']!.privateKey).decrypt, undefined);
  assert.equal(localKey(KEYS.p256!.privateKey).decrypt, undefined);
});

test('takes PEM, encrypted PEM, and key objects; says its public key', () => {
  const { publicKey, privateKey } = KEYS.p256!;
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const locked = privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open',
  });
  const expected = publicKey.export({ type: 'spki', format: 'der' });
  const keys = [
    localKey(pem),
    localKey(Buffer.from(pem)),
    localKey(privateKey),
    localKey(locked, { passphrase: 'open' }),
    localKey({ key: locked, passphrase: 'open' }),
  ];
  for (const key of keys) assert.deepEqual(key.publicKey, expected);
});

test('what is no private key is refused', () => {
  const { publicKey, privateKey } = KEYS.p256!;
  const locked = privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open',
  });
  const wrong: unknown[] = [
    '',
    'no key',
    publicKey,
    createSecretKey(randomBytes(32)),
    locked,
    { key: 'x' },
    null,
    5,
    {},
  ];
  for (const key of wrong) {
    assert.throws(() => localKey(key as string), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, String(key));
  }
});

test('options are those of a PrivateKey', () => {
  const key = localKey(KEYS.p256!.privateKey, {
    schemes: ['ecdsa_secp256r1_sha256'],
    timeoutMs: 5,
    verify: 'always',
  });
  assert.deepEqual([key.schemes, key.timeoutMs, key.verify], [['ecdsa_secp256r1_sha256'], 5, 'always']);
});

test('who transfers a signature does not take those that share its memory with it', () => {
  const key = localKey(KEYS.p256!.privateKey, { sync: true });
  const sign = () => key.sign(signOperation(ID, 'ecdsa_secp256r1_sha256', MESSAGE)) as Uint8Array;
  const [first, second] = [sign(), sign()];
  try {
    structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
  } catch {
    // Node 20 makes a copy; later ones refuse.
  }
  for (const signature of [first, second, sign()]) assert.ok(signature.length >= 68, `${signature.length}`);
});
