/** Signature schemes: their names for OpenSSL's code points, and what a key's list of them limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import tls from 'node:tls';
import {
  fittingSchemes,
  isSignatureScheme,
  limitSigalgs,
  providerLimits,
  schemeName,
} from '../../../lib/engine/schemes.ts';
import type { SignatureScheme } from '../../../lib/keys/private-key.ts';

/** RFC 8446 §4.2.3 and, for SHA-224, RFC 5246 §7.4.1.4.1. */
const CODES: Readonly<Record<string, number>> = {
  rsa_pkcs1_sha256: 0x0401,
  rsa_pkcs1_sha384: 0x0501,
  rsa_pkcs1_sha512: 0x0601,
  ecdsa_secp256r1_sha256: 0x0403,
  ecdsa_secp384r1_sha384: 0x0503,
  ecdsa_secp521r1_sha512: 0x0603,
  rsa_pss_rsae_sha256: 0x0804,
  rsa_pss_rsae_sha384: 0x0805,
  rsa_pss_rsae_sha512: 0x0806,
  ed25519: 0x0807,
  ed448: 0x0808,
  rsa_pss_pss_sha256: 0x0809,
  rsa_pss_pss_sha384: 0x080a,
  rsa_pss_pss_sha512: 0x080b,
  rsa_pkcs1_sha1: 0x0201,
  ecdsa_sha1: 0x0203,
  rsa_pkcs1_sha224: 0x0301,
  ecdsa_sha224: 0x0303,
};
/** Not in any RFC: TLS 1.0 and 1.1 sign RSA over MD5 and SHA-1 without naming it. */
const MD5_SHA1 = 0xfe01;
const NAMES = [...Object.keys(CODES), 'rsa_pkcs1_md5_sha1', 'ecdsa_sha256', 'ecdsa_sha384', 'ecdsa_sha512'];

const DIGEST_BITS = { none: 1, md5Sha1: 2, sha1: 4, sha224: 8, sha256: 16, sha384: 32, sha512: 64 };

const list = (...schemes: string[]) => schemes as SignatureScheme[];

test('a code point has the name of its RFC', () => {
  for (const [name, code] of Object.entries(CODES)) assert.equal(schemeName(code, undefined), name);
  assert.equal(schemeName(MD5_SHA1, undefined), 'rsa_pkcs1_md5_sha1');
  for (const code of [0, 0x0202, 0x0402, 0x080c, 0xffff])
    assert.equal(schemeName(code, undefined), undefined);
});

test('ECDSA over the hash of another curve has no name in TLS 1.3, and gets its own', () => {
  const curves = { prime256v1: 0x0403, secp384r1: 0x0503, secp521r1: 0x0603 };
  const paired = ['ecdsa_secp256r1_sha256', 'ecdsa_secp384r1_sha384', 'ecdsa_secp521r1_sha512'];
  const any = ['ecdsa_sha256', 'ecdsa_sha384', 'ecdsa_sha512'];
  Object.keys(curves).forEach((curve, mine) => {
    Object.values(curves).forEach((code, index) => {
      assert.equal(schemeName(code, curve), mine === index ? paired[index] : any[index], `${curve} ${code}`);
    });
    assert.equal(schemeName(0x0203, curve), 'ecdsa_sha1');
    assert.equal(schemeName(0x0303, curve), 'ecdsa_sha224');
  });
});

test('a name is a scheme only where the table has it itself', () => {
  for (const name of NAMES) assert.ok(isSignatureScheme(name), name);
  for (const name of ['', 'RSA', 'toString', '__proto__', 'constructor', 'ED25519', 'rsa_pss_sha256']) {
    assert.ok(!isSignatureScheme(name), name);
  }
});

test('a key without a list has no limits', () => {
  const all = Object.values(DIGEST_BITS).reduce((bits, bit) => bits | bit, 0);
  assert.deepEqual(providerLimits(undefined), { digests: all, pss: true });
});

test('a list limits digests and PSS', () => {
  const { sha256, sha384, sha512, none, md5Sha1 } = DIGEST_BITS;
  const limits = (...schemes: string[]) => providerLimits(list(...schemes));
  assert.deepEqual(limits('rsa_pkcs1_sha256'), { digests: sha256, pss: false });
  assert.deepEqual(limits('rsa_pss_rsae_sha384', 'rsa_pkcs1_sha512'), {
    digests: sha384 | sha512,
    pss: true,
  });
  assert.deepEqual(limits('ed25519'), { digests: none, pss: false });
  assert.deepEqual(limits('rsa_pkcs1_md5_sha1'), { digests: md5Sha1, pss: false });
});

test('a list limits what OpenSSL offers', () => {
  assert.equal(limitSigalgs(list('rsa_pkcs1_sha256'), undefined), 'RSA+SHA256');
  assert.equal(
    limitSigalgs(list('rsa_pss_rsae_sha384', 'rsa_pkcs1_sha512'), undefined),
    'rsa_pss_rsae_sha384:RSA+SHA512',
  );
  assert.equal(limitSigalgs(list('ecdsa_secp256r1_sha256', 'ecdsa_sha256'), undefined), 'ECDSA+SHA256');
  assert.equal(limitSigalgs(list('rsa_pkcs1_md5_sha1'), undefined), undefined);
});

test("a user's list keeps its order and its spelling, without what the key cannot", () => {
  const schemes = list('rsa_pkcs1_sha256', 'rsa_pss_rsae_sha384', 'rsa_pss_rsae_sha256');
  for (const [given, left] of [
    ['RSA-PSS+SHA384:rsa_pkcs1_sha512:RSA+SHA256', 'RSA-PSS+SHA384:RSA+SHA256'],
    ['PSS+SHA256:rsa_pss_rsae_sha512', 'PSS+SHA256'],
    ['rsa+sha256', 'rsa+sha256'],
    ['?rsa_pss_rsae_sha256:?mldsa65', '?rsa_pss_rsae_sha256'],
    ['rsa_pss_pss_sha256:ECDSA+SHA256:DSA+SHA256:ed25519', ''],
    ['constructor:toString+SHA256:RSA+:+SHA256:', ''],
  ] as const) {
    assert.equal(limitSigalgs(schemes, given), left, given);
  }
});

test('a scheme fits a key by its type and curve', () => {
  const fit = (type: string, curve?: string) => fittingSchemes(list(...NAMES), type, curve).join(' ');
  assert.match(fit('rsa'), /^rsa_pkcs1_sha256 .*rsa_pss_rsae_sha512 .*rsa_pkcs1_md5_sha1$/);
  assert.equal(fit('rsa-pss'), 'rsa_pss_pss_sha256 rsa_pss_pss_sha384 rsa_pss_pss_sha512');
  assert.equal(
    fit('ec', 'prime256v1'),
    'ecdsa_secp256r1_sha256 ecdsa_sha1 ecdsa_sha224 ecdsa_sha256 ecdsa_sha384 ecdsa_sha512',
  );
  assert.match(fit('ec', 'secp521r1'), /^ecdsa_secp521r1_sha512 ecdsa_sha1/);
  assert.equal(fit('ed25519'), 'ed25519');
  assert.equal(fit('ed448'), 'ed448');
  assert.equal(fit('dsa'), '');
});

test('OpenSSL understands each limit', () => {
  for (const name of NAMES) {
    const sigalgs = limitSigalgs(list(name), undefined);
    if (name !== 'rsa_pkcs1_md5_sha1') assert.ok(sigalgs, name);
    if (sigalgs !== undefined) assert.ok(tls.createSecureContext({ sigalgs }), name);
  }
  assert.ok(tls.createSecureContext({ sigalgs: limitSigalgs(list(...NAMES), undefined)! }));
});
