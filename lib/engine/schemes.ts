/** TLS signature schemes (RFC 8446 §4.2.3): names, code points, and what a key's list of them means for OpenSSL. */
import type { SignatureScheme } from '../keys/private-key.ts';

interface SchemeInfo {
  readonly code: number;
  /** asymmetricKeyType of node:crypto. */
  readonly keyType: string;
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

function info(keyType: string, code: number, digest: number, openssl?: string, pss = false): SchemeInfo {
  return { code, keyType, digest, pss, openssl };
}

const SCHEMES: Readonly<Record<SignatureScheme, SchemeInfo>> = {
  rsa_pkcs1_sha256: info('rsa', 0x0401, SHA256, 'RSA+SHA256'),
  rsa_pkcs1_sha384: info('rsa', 0x0501, SHA384, 'RSA+SHA384'),
  rsa_pkcs1_sha512: info('rsa', 0x0601, SHA512, 'RSA+SHA512'),
  rsa_pkcs1_sha224: info('rsa', 0x0301, SHA224, 'RSA+SHA224'),
  rsa_pkcs1_sha1: info('rsa', 0x0201, SHA1, 'RSA+SHA1'),
  rsa_pkcs1_md5_sha1: info('rsa', 0xfe01, MD5_SHA1),
  rsa_pss_rsae_sha256: info('rsa', 0x0804, SHA256, 'rsa_pss_rsae_sha256', true),
  rsa_pss_rsae_sha384: info('rsa', 0x0805, SHA384, 'rsa_pss_rsae_sha384', true),
  rsa_pss_rsae_sha512: info('rsa', 0x0806, SHA512, 'rsa_pss_rsae_sha512', true),
  rsa_pss_pss_sha256: info('rsa-pss', 0x0809, SHA256, 'rsa_pss_pss_sha256', true),
  rsa_pss_pss_sha384: info('rsa-pss', 0x080a, SHA384, 'rsa_pss_pss_sha384', true),
  rsa_pss_pss_sha512: info('rsa-pss', 0x080b, SHA512, 'rsa_pss_pss_sha512', true),
  ecdsa_secp256r1_sha256: info('ec', 0x0403, SHA256, 'ECDSA+SHA256'),
  ecdsa_secp384r1_sha384: info('ec', 0x0503, SHA384, 'ECDSA+SHA384'),
  ecdsa_secp521r1_sha512: info('ec', 0x0603, SHA512, 'ECDSA+SHA512'),
  ecdsa_sha1: info('ec', 0x0203, SHA1, 'ECDSA+SHA1'),
  ecdsa_sha224: info('ec', 0x0303, SHA224, 'ECDSA+SHA224'),
  ecdsa_sha256: info('ec', 0x0403, SHA256, 'ECDSA+SHA256'),
  ecdsa_sha384: info('ec', 0x0503, SHA384, 'ECDSA+SHA384'),
  ecdsa_sha512: info('ec', 0x0603, SHA512, 'ECDSA+SHA512'),
  ed25519: info('ed25519', 0x0807, NONE, 'ed25519'),
  ed448: info('ed448', 0x0808, NONE, 'ed448'),
};

/** OpenSSL 3.5 and later have more, and "?" there for what a build may lack. */
const [MAJOR = 0, MINOR = 0] = process.versions.openssl.split('.').map(Number);
const NEWER = MAJOR > 3 || MINOR >= 5;

/** OpenSSL's own list, in its order; what the security level forbids is left out by OpenSSL, as there. */
export const DEFAULT_SIGALGS = [
  ...(NEWER ? ['?mldsa65', '?mldsa87', '?mldsa44'] : []),
  'ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:ed25519:ed448',
  ...(NEWER ? [256, 384, 512].map((bits) => `?ecdsa_brainpoolP${bits}r1_sha${bits}`) : []),
  'rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512',
  'rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512',
  'RSA+SHA256:RSA+SHA384:RSA+SHA512:ECDSA+SHA224:ECDSA+SHA1:RSA+SHA224:RSA+SHA1',
  'DSA+SHA224:DSA+SHA1:DSA+SHA256:DSA+SHA384:DSA+SHA512',
].join(':');

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

/** Of the schemes a key says it can sign with, those that a key of this type and curve has. */
export function fittingSchemes(
  schemes: readonly SignatureScheme[],
  keyType: string | undefined,
  curve: string | undefined,
): readonly SignatureScheme[] {
  return schemes.filter((name) => SCHEMES[name].keyType === keyType && (CURVE_OF[name] ?? curve) === curve);
}

/** Bits of native/signature_schemes.h's Digest, and whether with RSA-PSS: what the provider then signs. */
export interface ProviderLimits {
  readonly digests: number;
  readonly pss: boolean;
}

/** @param schemes what a key signs with; `undefined`: everything its type can */
export function providerLimits(schemes: readonly SignatureScheme[] | undefined): ProviderLimits {
  if (schemes === undefined) return { digests: ALL_DIGESTS, pss: true };
  const infos = schemes.map((scheme) => SCHEMES[scheme]);
  return { digests: infos.reduce((bits, { digest }) => bits | digest, 0), pss: infos.some(({ pss }) => pss) };
}

/** OpenSSL's SIG+HASH spellings, besides the names of RFC 8446; see SSL_CTX_set1_sigalgs_list(3). */
const SIGNATURES: Readonly<Record<string, string>> = {
  rsa: 'rsa_pkcs1',
  'rsa-pss': 'rsa_pss_rsae',
  pss: 'rsa_pss_rsae',
  ecdsa: 'ecdsa',
};

/** An entry of OpenSSL's list of signature algorithms; `undefined`: a scheme that no PrivateKey has. */
function codeOfEntry(entry: string): number | undefined {
  const name = entry.replace(/^\?/, '').toLowerCase();
  const [signature = '', hash] = name.split('+');
  const scheme = hash === undefined ? name : `${SIGNATURES[signature]}_${hash}`;
  return isSignatureScheme(scheme) ? SCHEMES[scheme].code : undefined;
}

/**
 * What contexts whose keys sign with only some schemes may choose, as OpenSSL's list of signature algorithms.
 *
 * @param schemes of all their keys
 * @param list the user's own, of which the rest stays; `undefined`: OpenSSL's default
 * @returns '': nothing; `undefined`: TLS 1.2 and later have none of the schemes, and OpenSSL no list of them
 */
export function limitSigalgs(
  schemes: readonly SignatureScheme[],
  list: string | undefined,
): string | undefined {
  const infos = schemes.map((scheme) => SCHEMES[scheme]);
  const names = new Set(infos.flatMap(({ openssl }) => openssl ?? []));
  if (names.size === 0) return undefined;
  if (list === undefined) return [...names].join(':');
  const codes = new Set<number | undefined>(infos.map(({ code }) => code));
  return list
    .split(':')
    .filter((entry) => codes.has(codeOfEntry(entry)))
    .join(':');
}
