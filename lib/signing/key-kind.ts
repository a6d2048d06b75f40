/** What kind of private key a KeyObject is, and which signing methods fit it. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { KeylessError } from '../errors.ts';
import { type SchemeName, SIGNING_METHODS, type SigningMethod } from '../protocol/schemes.ts';

export type KeyType = 'rsa' | 'rsa-pss' | 'ec' | 'ed25519' | 'ed448';

export interface KeyKind {
  readonly type: KeyType;
  /** OpenSSL's name of an EC key's curve: `prime256v1`, `secp384r1`, `secp521r1`; `undefined` for other keys. */
  readonly curve: string | undefined;
  /** Bytes of an RSA modulus; `undefined` for other keys. */
  readonly modulusBytes: number | undefined;
}

const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];
const TYPES: readonly string[] = ['rsa', 'rsa-pss', 'ec', 'ed25519', 'ed448'] satisfies KeyType[];

/** @throws ERR_KEYLESS_UNSUPPORTED_KEY if TLS servers do not use such keys */
export function keyKindOf(key: KeyObject): KeyKind {
  const type = key.asymmetricKeyType;
  if (type === undefined || !TYPES.includes(type)) {
    throw new KeylessError(
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      `A key of type ${type ?? key.type}; usable are RSA, RSA-PSS, EC, Ed25519 and Ed448.`,
    );
  }
  const details = key.asymmetricKeyDetails ?? {};
  if (type === 'ec' && !CURVES.includes(details.namedCurve ?? '')) {
    throw new KeylessError(
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      `An EC key on the curve ${details.namedCurve}; usable are P-256, P-384 and P-521.`,
    );
  }
  const { modulusLength } = details;
  return {
    type: type as KeyType,
    curve: type === 'ec' ? details.namedCurve : undefined,
    modulusBytes: modulusLength === undefined ? undefined : Math.ceil(modulusLength / 8),
  };
}

const ALGORITHM_TYPES: Readonly<Record<SigningMethod['algorithm'], readonly KeyType[]>> = {
  'rsa-pkcs1': ['rsa'],
  'rsa-pss': ['rsa', 'rsa-pss'],
  ecdsa: ['ec'],
  ed25519: ['ed25519'],
  ed448: ['ed448'],
};

/** Whether a key of this kind signs by this method. */
export function canSign(kind: KeyKind, method: SigningMethod): boolean {
  return ALGORITHM_TYPES[method.algorithm].includes(kind.type);
}

/** RFC 8446 §4.2.3 ties the hash to the curve in TLS 1.3. */
const CURVE_HASH: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

/** Whether TLS 1.3 lets a key of this kind sign by this method. */
export function canSignTls13(kind: KeyKind, method: SigningMethod): boolean {
  return canSign(kind, method) && (kind.curve === undefined || CURVE_HASH[kind.curve] === method.hash);
}

/** The schemes of TLS that a key of this kind signs with. */
export function schemesOf(kind: KeyKind): SchemeName[] {
  const names = Object.keys(SIGNING_METHODS) as SchemeName[];
  return names.filter((name) => canSign(kind, SIGNING_METHODS[name]) && fitsName(kind, name));
}

/** `rsa_pss_rsae_*` and `rsa_pss_pss_*` differ only in the type of the key, `ecdsa_secp*` only in its curve. */
function fitsName({ type, curve }: KeyKind, name: SchemeName): boolean {
  if (name.startsWith('rsa_pss_rsae')) return type === 'rsa';
  if (name.startsWith('rsa_pss_pss')) return type === 'rsa-pss';
  if (!name.startsWith('ecdsa_secp')) return true;
  return CURVE_HASH[curve ?? ''] === SIGNING_METHODS[name].hash;
}

/** DER SubjectPublicKeyInfo of a private key. */
export function publicKeyDer(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}
