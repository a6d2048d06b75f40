import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import type { SignatureScheme } from '../../../lib/keys/private-key.ts';
import { decodeAnswer } from '../../../lib/protocol/answers.ts';
import { decodeCapabilities, encodeCapabilities } from '../../../lib/protocol/capabilities.ts';
import { DIGEST_BYTES, digestOf } from '../../../lib/protocol/digests.ts';
import { addressBytes } from '../../../lib/protocol/ip-address.ts';
import { escapePeerText } from '../../../lib/protocol/peer-text.ts';
import { decodeRequest } from '../../../lib/protocol/request-decoder.ts';
import { premasterRequest, rawDecryptRequest, signRequest } from '../../../lib/protocol/request-encoder.ts';
import { type HashName, type SchemeName, SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import { checkProperty } from '../../helpers/property.ts';

const keyId = Buffer.alloc(20, 1);
const message = Buffer.from('abc');

/** Compiles only while the two lists of schemes are the same. */
const sameSchemes: [SchemeName] extends [SignatureScheme]
  ? [SignatureScheme] extends [SchemeName]
    ? true
    : never
  : never = true;

test('the wire knows the schemes of the PrivateKey', () => assert.ok(sameSchemes));

for (const scheme of Object.keys(SIGNING_METHODS) as SchemeName[]) {
  test(`a request for ${scheme} is read as it was meant`, () => {
    const request = decodeRequest(signRequest(scheme, message, { keyId, servername: 'a.example' }));
    assert.ok(typeof request !== 'number' && request.kind === 'sign');
    const { algorithm, hash } = SIGNING_METHODS[scheme];
    assert.deepEqual([request.method.algorithm, request.method.hash], [algorithm, hash]);
    assert.deepEqual(request.message, message);
    assert.deepEqual(request.selector.keyId, keyId);
    assert.deepEqual(
      request.digest && Buffer.from(request.digest),
      hash && Buffer.from(digestOf(hash, message)),
    );
  });
}

test('opcodes follow the order of the hashes', () => {
  const opcodes = (algorithm: string) =>
    Object.values(SIGNING_METHODS).flatMap((info) => (info.algorithm === algorithm ? [info.opcode] : []));
  assert.deepEqual(opcodes('rsa-pkcs1'), [2, 3, 4, 5, 6, 7]);
  assert.deepEqual([...new Set(opcodes('ecdsa'))], [0x13, 0x14, 0x15, 0x16, 0x17]);
  assert.deepEqual([...new Set(opcodes('rsa-pss'))], [0x35, 0x36, 0x37]);
});

test('digests are those of node:crypto', () => {
  for (const hash of Object.keys(DIGEST_BYTES) as HashName[]) {
    const parts = hash === 'md5-sha1' ? ['md5', 'sha1'] : [hash];
    const expected = Buffer.concat(parts.map((name) => createHash(name).update(message).digest()));
    assert.deepEqual(Buffer.from(digestOf(hash, message)), expected);
    assert.equal(DIGEST_BYTES[hash], expected.length);
  }
});

test('decryption says what the client offered, to our peers', () => {
  const ciphertext = Buffer.alloc(256, 5);
  const premaster = decodeRequest(premasterRequest(ciphertext, 0x0303, { keyId }));
  assert.ok(typeof premaster !== 'number' && premaster.kind === 'premaster');
  assert.equal(premaster.clientVersion, 0x0303);
  const raw = decodeRequest(rawDecryptRequest(ciphertext, { keyId }));
  assert.ok(typeof raw !== 'number' && raw.kind === 'raw-decrypt');
});

const opcode = (code: number) => Uint8Array.of(code);
const name = (text: string) => Buffer.from(text);
const digest = Buffer.alloc(32);

const MALFORMED: readonly (readonly [string, Items, number])[] = [
  ['no items at all', {}, 7],
  ['no opcode', { payload: digest, keyId }, 7],
  ['an empty opcode', { opcode: Buffer.alloc(0), payload: digest, keyId }, 7],
  ['an opcode of two bytes', { opcode: Buffer.alloc(2), payload: digest, keyId }, 7],
  ['an unknown opcode', { opcode: opcode(0x99), payload: digest, keyId }, 5],
  ['opcode 0', { opcode: opcode(0), payload: digest, keyId }, 5],
  ['a response as a request', { opcode: opcode(0xf0), payload: digest }, 6],
  ['a pong as a request', { opcode: opcode(0xf2), payload: digest }, 6],
  ['an error as a request', { opcode: opcode(0xff), payload: digest }, 6],
  ['a short key id', { opcode: opcode(0x15), payload: digest, keyId: keyId.subarray(1) }, 7],
  ['an empty key id', { opcode: opcode(0x15), payload: digest, keyId: Buffer.alloc(0) }, 7],
  ['no key', { opcode: opcode(0x15), payload: digest }, 7],
  ['a short certificate digest', { opcode: opcode(0x05), payload: digest, certificateDigest: keyId }, 7],
  [
    'a client address of 5 bytes',
    { opcode: opcode(0x15), payload: digest, keyId, clientAddress: Buffer.alloc(5) },
    7,
  ],
  [
    'an empty server address',
    { opcode: opcode(0x15), payload: digest, keyId, serverAddress: Buffer.alloc(0) },
    7,
  ],
  ['no digest', { opcode: opcode(0x15), keyId }, 7],
  ['a digest of another length', { opcode: opcode(0x16), payload: digest, keyId }, 7],
  ['an empty digest', { opcode: opcode(0x15), payload: Buffer.alloc(0), keyId }, 7],
  ['Ed25519 with two messages', { opcode: opcode(0x18), payload: digest, extraPayload: message, keyId }, 7],
  ['no ciphertext', { opcode: opcode(0x01), keyId }, 7],
  ['an empty ciphertext', { opcode: opcode(0x01), payload: Buffer.alloc(0), keyId }, 7],
  ['a custom function without a name', { opcode: opcode(0x24), payload: digest, keyId }, 7],
  [
    'a custom function nobody knows',
    { opcode: opcode(0x24), payload: digest, keyId, functionName: name('toString') },
    5,
  ],
  [
    'signing by name where there is an opcode',
    { opcode: opcode(0x24), payload: digest, keyId, functionName: name('sign:ed25519') },
    5,
  ],
  [
    'a premaster with a version of one byte',
    {
      opcode: opcode(0x24),
      payload: digest,
      keyId,
      functionName: name('rsa-premaster'),
      extraPayload: opcode(3),
    },
    7,
  ],
];

for (const [what, items, code] of MALFORMED) {
  test(`${what} is answered with error 0${code}`, () => assert.equal(decodeRequest(items), code));
}

test('any items give a request or an error', async (t) => {
  const item = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined });
  const items = fc.record({
    opcode: item,
    payload: item,
    extraPayload: item,
    keyId: item,
    functionName: item,
    serverAddress: item,
  });
  await checkProperty(
    t,
    fc.property(items, (any) => void decodeRequest(any)),
    1000,
  );
});

test('what is no answer is none', () => {
  assert.equal(decodeAnswer({}), undefined);
  assert.equal(decodeAnswer({ opcode: opcode(0xf0) }), undefined);
  assert.equal(decodeAnswer({ opcode: opcode(0xff), payload: Buffer.alloc(2) }), undefined);
  assert.equal(decodeAnswer({ opcode: opcode(0x05), payload: digest }), undefined);
  assert.equal(decodeAnswer({ opcode: Buffer.alloc(2), payload: digest }), undefined);
  assert.deepEqual(decodeAnswer({ opcode: opcode(0xff), payload: opcode(2) }), { kind: 'error', code: 2 });
});

test('IP addresses are 4 or 16 bytes', () => {
  const hex = (text: string) => addressBytes(text)?.toString('hex');
  assert.equal(hex('192.0.2.1'), 'c0000201');
  assert.equal(hex('::ffff:192.0.2.1'), 'c0000201');
  assert.equal(hex('::ffff:c000:201'), 'c0000201');
  assert.equal(hex('2001:db8::1'), '20010db8000000000000000000000001');
  assert.equal(hex('::'), '00'.repeat(16));
  assert.equal(hex('::1'), `${'00'.repeat(15)}01`);
  assert.equal(hex('1::'), `0001${'00'.repeat(14)}`);
  assert.equal(hex('fe80::1%eth0'), 'fe800000000000000000000000000001');
  assert.equal(hex('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008');
  assert.equal(hex('64:ff9b::192.0.2.33'), '0064ff9b0000000000000000c0000221');
  assert.equal(hex('example.org'), undefined);
  assert.equal(hex(''), undefined);
});

test('text of peers cannot break a line, a terminal or a log', () => {
  assert.equal(escapePeerText('www.example.org'), 'www.example.org');
  assert.equal(escapePeerText('a\nb\u001b[31m\\'), 'a\\x0ab\\x1b[31m\\x5c');
  assert.equal(escapePeerText('\u202e'), '\\xe2\\x80\\xae');
  assert.equal(escapePeerText('x'.repeat(255)).length, 255);
  assert.equal(escapePeerText('x'.repeat(1000)).length, 256);
});

test('capabilities survive the wire, and lies in them do not', () => {
  const said = {
    versions: [1],
    schemes: ['ed448'],
    functions: ['capabilities'],
    contexts: ['tls13-server'],
    limits: { inFlight: 5, bodyBytes: 65_535 },
  };
  assert.deepEqual(decodeCapabilities(encodeCapabilities(said)), said);
  const empty = {
    versions: [],
    schemes: [],
    functions: [],
    contexts: [],
    limits: { inFlight: 1, bodyBytes: 65_535 },
  };
  for (const lie of ['null', '1', '[]', '{"versions":["x"],"schemes":5,"limits":{"inFlight":-1}}']) {
    assert.deepEqual(decodeCapabilities(Buffer.from(lie)), empty);
  }
  assert.throws(() => decodeCapabilities(Buffer.from('no')), { code: 'ERR_KEYLESS_PROTOCOL' });
});
