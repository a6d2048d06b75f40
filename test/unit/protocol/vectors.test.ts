import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { encodeError, encodePong } from '../../../lib/protocol/answers.ts';
import { decodeItems, FrameDecoder } from '../../../lib/protocol/frame-decoder.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import { certificateDigest, subjectKeyId } from '../../../lib/protocol/key-id.ts';
import { pingRequest, signDigestRequest, signRequest } from '../../../lib/protocol/request-encoder.ts';

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** RFC 6979 §A.2.5. */
const P256_X = '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6';
const P256_Y = '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299';
const P256_SPKI = Buffer.from(
  `3059301306072a8648ce3d020106082a8648ce3d03010703420004${P256_X}${P256_Y}`,
  'hex',
);
/** RFC 8032 §7.1, test 1. */
const ED25519_KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
const ED25519_SPKI = Buffer.from(`302a300506032b6570032100${ED25519_KEY}`, 'hex');

test('ping "hello" is the published frame', () => {
  const frame = encodeFrame(7, pingRequest(Buffer.from('hello')));
  assert.equal(frame.length, 1024);
  assert.equal(frame.subarray(0, 23).toString('hex'), '010003f800000007110001f112000568656c6c6f2003e9');
  assert.equal(sha256(frame), '95de4d1bb389fd0bd8856da2cbac283286524d24d824c4474f9152972ef3e551');
});

test('an ECDSA request over a digest is the published frame', () => {
  const digest = createHash('sha256').update('abc').digest();
  const frame = encodeFrame(
    7,
    signDigestRequest(0x15, digest, {
      keyId: subjectKeyId(P256_SPKI),
      clientAddress: '192.0.2.1',
      serverAddress: '198.51.100.7',
      servername: 'www.example.org',
    }),
  );
  assert.equal(frame.length, 1024);
  assert.equal(sha256(frame), 'f4d16dc24753f7721c7ac90a5d35d4f0c490df1b55d257f7cfd2f951f27f1022');
});

test('error 02 is the published frame', () => {
  const frame = encodeError(7, 0x02);
  assert.equal(frame.subarray(0, 19).toString('hex'), '010003f800000007110001ff120001022003ed');
  assert.equal(sha256(frame), '15f6973674a956526b2baa221440c94d07890fbe1c6fce2544638a25948d2d27');
});

test('padding ends at 1024 bytes, and where a padding item does not fit, it is empty or left out', () => {
  const totals = Array.from({ length: 8 }, (_, more) => encodePong(7, Buffer.alloc(1005 + more)).length);
  assert.deepEqual(totals, [1024, 1024, 1025, 1026, 1024, 1025, 1026, 1027]);
});

test('a pong without payload is padded too', () => {
  const frame = encodePong(0xffffffff, undefined);
  assert.equal(frame.subarray(0, 15).toString('hex'), '010003f8ffffffff110001f22003f1');
  assert.equal(frame.length, 1024);
});

test('the key id of the P-256 key of RFC 6979 and of the Ed25519 key of RFC 8032', () => {
  assert.equal(subjectKeyId(P256_SPKI).toString('hex'), '1a9569579bce329a942d0769c9c0b56431563710');
  assert.equal(subjectKeyId(ED25519_SPKI).toString('hex'), '5b27aa5589179770e47575b162a1ded97b8bfc6d');
});

test('the legacy selector is SHA-256 of the upper-case hexadecimal modulus', () => {
  // An RSA key of 64 bits, modulus 0xc0ffee00deadbeef: enough for the arithmetic of the selector.
  const spki = Buffer.from(
    '3024300d06092a864886f70d01010105000313003010020900c0ffee00deadbeef0203010001',
    'hex',
  );
  const expected = createHash('sha256').update('C0FFEE00DEADBEEF').digest('hex');
  assert.equal(certificateDigest(spki).toString('hex'), expected);
});

test('what is not a SubjectPublicKeyInfo has no key id', () => {
  const lies = [
    '',
    '30',
    '3000',
    '30820000',
    '308affffffffffffffffffff',
    'ff',
    P256_SPKI.subarray(0, 40).toString('hex'),
  ];
  for (const lie of lies) {
    assert.throws(() => subjectKeyId(Buffer.from(lie, 'hex')), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
  assert.throws(() => certificateDigest(ED25519_SPKI), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
});

test('a signature request carries the message beside the digest, in the order of the protocol', () => {
  const message = Buffer.from('abc');
  const keyId = subjectKeyId(P256_SPKI);
  const frame = encodeFrame(
    1,
    signRequest('ecdsa_secp256r1_sha256', message, { keyId, servername: 'a.example' }),
  );
  const digest = createHash('sha256').update(message).digest('hex');
  const expected = `11000115120020${digest}140003616263040014${keyId.toString('hex')}020009${Buffer.from('a.example').toString('hex')}`;
  assert.equal(frame.subarray(8, 8 + expected.length / 2).toString('hex'), expected);
});

test('Ed25519 carries the message once, Ed448 by a custom function', () => {
  const message = Buffer.from('abc');
  const keyId = Buffer.alloc(20, 1);
  const ed25519 = signRequest('ed25519', message, { keyId });
  assert.deepEqual(
    [ed25519.opcode, ed25519.payload, ed25519.extraPayload],
    [Uint8Array.of(0x18), message, undefined],
  );
  const ed448 = signRequest('ed448', message, { keyId });
  assert.deepEqual([ed448.opcode, ed448.payload], [Uint8Array.of(0x24), message]);
  assert.equal(Buffer.from(ed448.functionName!).toString(), 'sign:ed448');
});

test('bodies of 65,535 bytes fit, one more does not', () => {
  const fits = encodeFrame(1, { opcode: Uint8Array.of(0xf1), payload: Buffer.alloc(65_528, 7) });
  assert.equal(fits.length, 65_543);
  const decoder = new FrameDecoder();
  decoder.push(fits);
  assert.equal(decoder.next()?.items.payload?.length, 65_528);
  const tooLong = { opcode: Uint8Array.of(0xf1), payload: Buffer.alloc(65_529) };
  assert.throws(() => encodeFrame(1, tooLong), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
});

test('unknown items are ignored, known ones twice and overruns break the frame', () => {
  const body = (hex: string) => decodeItems(Buffer.from(hex, 'hex'));
  assert.deepEqual(Buffer.from(body('9900021122990000110001f1').opcode!).toString('hex'), 'f1');
  for (const broken of ['110001f1110001f1', '200000200000', '1100', '11', '110002f1', '12ffff00']) {
    assert.throws(() => body(broken), { code: 'ERR_KEYLESS_PROTOCOL' }, broken);
  }
});
