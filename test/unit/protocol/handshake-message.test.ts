import assert from 'node:assert/strict';
import { createECDH, createHash, randomBytes } from 'node:crypto';
import test from 'node:test';
import { fitsContext, handshakeContext } from '../../../lib/protocol/handshake-message.ts';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import { certificateVerify, randomPoint, serverKeyExchange } from '../../helpers/handshake-messages.ts';

const EXCHANGES: Readonly<Record<string, { bytes: number; make: () => Buffer }>> = {
  X25519: { bytes: 100, make: () => serverKeyExchange(29, randomBytes(32)) },
  'P-256': { bytes: 133, make: () => serverKeyExchange(23, randomPoint('prime256v1')) },
  'P-384': { bytes: 165, make: () => serverKeyExchange(24, randomPoint('secp384r1')) },
  'P-521': { bytes: 201, make: () => serverKeyExchange(25, randomPoint('secp521r1')) },
  X448: { bytes: 124, make: () => serverKeyExchange(30, randomBytes(56)) },
};

test('CertificateVerify of TLS 1.3 is recognised, of servers and of clients', () => {
  assert.equal(handshakeContext(certificateVerify('server', 32)), 'tls13-server');
  assert.equal(handshakeContext(certificateVerify('server', 48)), 'tls13-server');
  assert.equal(certificateVerify('server', 32).length, 130);
  assert.equal(certificateVerify('server', 48).length, 146);
  assert.equal(handshakeContext(certificateVerify('client', 32)), 'tls13-client');
  assert.equal(handshakeContext(certificateVerify('client', 48)), 'tls13-client');
});

for (const [name, { bytes, make }] of Object.entries(EXCHANGES)) {
  test(`ServerKeyExchange of TLS 1.2 with ${name} is recognised`, () => {
    for (let time = 0; time < 5; time += 1) {
      const message = make();
      assert.equal(message.length, bytes);
      assert.equal(handshakeContext(message), 'tls12-server');
    }
  });
}

test('other lengths are nothing', () => {
  const messages = [
    certificateVerify('server', 32),
    certificateVerify('client', 48),
    ...Object.values(EXCHANGES).map(({ make }) => make()),
  ];
  for (const message of messages) {
    assert.equal(handshakeContext(message.subarray(0, -1)), undefined);
    assert.equal(handshakeContext(Buffer.concat([message, Buffer.of(0)])), undefined);
  }
  for (const bytes of [0, 20, 64, 131, 162, 147])
    assert.equal(handshakeContext(Buffer.alloc(bytes, 0x20)), undefined);
  for (const bytes of [20, 64]) assert.equal(handshakeContext(certificateVerify('server', bytes)), undefined);
});

/** Byte positions whose change must be noticed: all but randoms, transcript hash, and X25519's or X448's point. */
function fixedPositions(name: string, message: Buffer): number[] {
  const all = [...message.keys()];
  if (name === 'TLS 1.3') return all.slice(0, 98);
  return name.startsWith('X') ? all.slice(64, 68) : all.slice(64);
}

const FORMS: Readonly<Record<string, () => Buffer>> = {
  'TLS 1.3': () => certificateVerify('server', 48),
  ...Object.fromEntries(Object.entries(EXCHANGES).map(([name, { make }]) => [name, make])),
};

for (const [name, make] of Object.entries(FORMS)) {
  test(`each bit of the fixed part of ${name} counts`, () => {
    const message = make();
    for (const at of fixedPositions(name, message)) {
      for (let bit = 0; bit < 8; bit += 1) {
        const changed = Buffer.from(message);
        changed[at]! ^= 1 << bit;
        assert.equal(handshakeContext(changed), undefined, `byte ${at} bit ${bit}`);
      }
    }
  });
}

test('points that are not on the curve, compressed or out of range are refused', () => {
  const good = randomPoint('prime256v1');
  const wrongSign = Buffer.from(good);
  wrongSign[64]! ^= 1;
  const compressed = createECDH('prime256v1');
  compressed.generateKeys();
  const outOfRange = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 0xff)]);
  const zero = Buffer.concat([Buffer.of(4), Buffer.alloc(64)]);
  for (const bad of [
    wrongSign,
    compressed.getPublicKey(null, 'compressed'),
    compressed.getPublicKey(null, 'hybrid'),
    outOfRange,
    zero,
  ]) {
    assert.equal(handshakeContext(serverKeyExchange(23, bad)), undefined);
  }
  assert.equal(handshakeContext(serverKeyExchange(24, good)), undefined, 'a point of another curve');
  assert.equal(
    handshakeContext(serverKeyExchange(22, randomPoint('secp256k1'))),
    undefined,
    'a curve TLS does not use',
  );
});

test('a key server that signs digests would sign these; they are no handshakes', () => {
  const text = Buffer.from('-----BEGIN CERTIFICATE REQUEST-----');
  assert.equal(handshakeContext(text), undefined);
  assert.equal(handshakeContext(createHash('sha256').update('x').digest()), undefined);
  assert.equal(handshakeContext(randomBytes(130)), undefined);
});

test('TLS 1.3 has neither PKCS#1 v1.5 nor SHA-1', () => {
  assert.equal(fitsContext('tls13-server', SIGNING_METHODS.rsa_pkcs1_sha256), false);
  assert.equal(fitsContext('tls13-server', SIGNING_METHODS.ecdsa_sha1), false);
  assert.equal(fitsContext('tls13-client', SIGNING_METHODS.ecdsa_sha224), false);
  assert.equal(fitsContext('tls13-server', SIGNING_METHODS.rsa_pss_rsae_sha256), true);
  assert.equal(fitsContext('tls13-server', SIGNING_METHODS.ed448), true);
  assert.equal(fitsContext('tls12-server', SIGNING_METHODS.rsa_pkcs1_sha256), true);
});
