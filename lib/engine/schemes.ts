/** TLS signature schemes (RFC 8446 §4.2.3): names, code points, and what a key's list of them means for OpenSSL. */
import type { SignatureScheme } from '../keys/private-key.ts';

interface SchemeInfo {
  readonly code: number;
  /** native/signature_schemes.h, enum Digest. */
  readonly digest: number;
  readonly pss: boolean;
  /** The name in OpenSSL's list of signature algorithms; `undefined`: TLS 1.2 and later do not have it. */
  readonly openssl: string | undefined;
}

const NONE = 1;
const MD5_SHA1 = 1 << 1;
const SHA1 = 1 << 2;
const SHA224 = 1 << 3;
const SHA256 = 1 << 4;
const SHA384 = 1 << 5;
const SHA512 = 1 << 6;
const ALL_DIGESTS = 0x7f;

function info(code: number, digest: number, openssl?: string, pss = false): SchemeInfo {
  return { code, digest, pss, openssl };
}

const SCHEMES: Readonly<Record<SignatureScheme, SchemeInfo>> = {
  rsa_pkcs1_sha256: info(0x0401, SHA256, 'RSA+SHA256'),
  rsa_pkcs1_sha384: info(0x0501, SHA384, 'RSA+SHA384'),
  rsa_pkcs1_sha512: info(0x0601, SHA512, 'RSA+SHA512'),
  rsa_pkcs1_sha224: info(0x0301, SHA224, 'RSA+SHA224'),
  rsa_pkcs1_sha1: info(0x0201, SHA1, 'RSA+SHA1'),
  rsa_pkcs1_md5_sha1: info(0xfe01, MD5_SHA1),
  rsa_pss_rsae_sha256: info(0x0804, SHA256, 'rsa_pss_rsae_sha256', true),
  rsa_pss_rsae_sha384: info(0x0805, SHA384, 'rsa_pss_rsae_sha384', true),
  rsa_pss_rsae_sha512: info(0x0806, SHA512, 'rsa_pss_rsae_sha512', true),
  rsa_pss_pss_sha256: info(0x0809, SHA256, 'rsa_pss_pss_sha256', true),
  rsa_pss_pss_sha384: info(0x080a, SHA384, 'rsa_pss_pss_sha384', true),
  rsa_pss_pss_sha512: info(0x080b, SHA512, 'rsa_pss_pss_sha512', true),
  ecdsa_secp256r1_sha256: info(0x0403, SHA256, 'ECDSA+SHA256'),
  ecdsa_secp384r1_sha384: info(0x0503, SHA384, 'ECDSA+SHA384'),
  ecdsa_secp521r1_sha512: info(0x0603, SHA512, 'ECDSA+SHA512'),
  ecdsa_sha1: info(0x0203, SHA1, 'ECDSA+SHA1'),
  ecdsa_sha224: info(0x0303, SHA224, 'ECDSA+SHA224'),
  ecdsa_sha256: info(0x0403, SHA256, 'ECDSA+SHA256'),
  ecdsa_sha384: info(0x0503, SHA384, 'ECDSA+SHA384'),
  ecdsa_sha512: info(0x0603, SHA512, 'ECDSA+SHA512'),
  ed25519: info(0x0807, NONE, 'ed25519'),
  ed448: info(0x0808, NONE, 'ed448'),
};

/** Whether a text is one of the names of {@link SignatureScheme}. */
export function isSignatureScheme(name: string): name is SignatureScheme {
  return Object.hasOwn(SCHEMES, name);
}

const BY_CODE = new Map<number, SignatureScheme>();
for (const [name, { code }] of Object.entries(SCHEMES)) {
  if (!BY_CODE.has(code)) BY_CODE.set(code, name as SignatureScheme);
}

/** TLS 1.2 pairs any curve with any hash under one code point; these are the pairs TLS 1.3 has a name for. */
const CURVE_OF: Readonly<Record<string, string>> = {
  ecdsa_secp256r1_sha256: 'prime256v1',
  ecdsa_secp384r1_sha384: 'secp384r1',
  ecdsa_secp521r1_sha512: 'secp521r1',
};
const ANY_CURVE: Readonly<Record<string, SignatureScheme>> = {
  ecdsa_secp256r1_sha256: 'ecdsa_sha256',
  ecdsa_secp384r1_sha384: 'ecdsa_sha384',
  ecdsa_secp521r1_sha512: 'ecdsa_sha512',
};

/**
 * The name of a scheme that OpenSSL chose.
 *
 * @param code RFC 8446 §4.2.3 code point, or 0xfe01 for TLS 1.0/1.1's RSA over MD5 and SHA-1
 * @param curve OpenSSL's name of an EC key's curve; `undefined` for other keys
 */
export function schemeName(code: number, curve: string | undefined): SignatureScheme | undefined {
  const name = BY_CODE.get(code);
  if (name === undefined || curve === undefined || CURVE_OF[name] === curve) return name;
  return ANY_CURVE[name] ?? name;
}

/** What a key that signs with only some schemes means for OpenSSL. */
export interface SchemeLimits {
  /** Bits of native/signature_schemes.h's Digest. */
  readonly digests: number;
  readonly pss: boolean;
  /** OpenSSL's list of signature algorithms; `undefined`: no limit, or none that TLS 1.2 could express. */
  readonly sigalgs: string | undefined;
}

/** @param schemes what a key signs with; `undefined`: everything its type can */
export function schemeLimits(schemes: readonly SignatureScheme[] | undefined): SchemeLimits {
  if (schemes === undefined) return { digests: ALL_DIGESTS, pss: true, sigalgs: undefined };
  const infos = schemes.map((scheme) => SCHEMES[scheme]);
  const names = new Set(infos.flatMap(({ openssl }) => openssl ?? []));
  return {
    digests: infos.reduce((bits, { digest }) => bits | digest, 0),
    pss: infos.some(({ pss }) => pss),
    sigalgs: names.size === 0 ? undefined : [...names].join(':'),
  };
}
