/** The PrivateKey objects that contexts hold, found again by the number OpenSSL's key carries. */
import type { X509Certificate } from 'node:crypto';
import { isUint8Array } from 'node:util/types';
import { KeylessError } from '../errors.ts';
import type { PrivateKey, SignatureScheme, VerifyPolicy } from '../keys/private-key.ts';
import { isVerifyPolicy, VERIFY_POLICY_NEEDED } from '../keys/verify-policy.ts';
import { addon } from './addon.ts';
import { fittingSchemes, isSignatureScheme } from './schemes.ts';

/** Whose key it is: a certificate, or what has none (`raw` is empty). */
export type KeyOwner = Pick<X509Certificate, 'publicKey' | 'raw'>;

/**
 * One PrivateKey in one context, for one certificate.
 *
 * Owner: the context (lib/engine/contexts.ts), or the Handshake that has it.
 */
export interface KeyEntry {
  /** Which OpenSSL's key carries. */
  readonly number: number;
  readonly key: PrivateKey;
  readonly keyId: Buffer;
  /** DER; empty: it has none. */
  readonly certificate: Buffer;
  /** OpenSSL's name of an EC key's curve. */
  readonly curve: string | undefined;
  /** Node's name of it. OpenSSL has room for one key of each. */
  readonly type: string | undefined;
  readonly isRsa: boolean;
  /** Those that fit the certificate; `undefined`: everything its type can. */
  readonly schemes: readonly SignatureScheme[] | undefined;
  readonly timeoutMs: number;
  readonly verify: VerifyPolicy;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** What setTimeout can count, and no more. */
const MAX_TIMEOUT_MS = 2_147_483_647;

function invalid(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `A PrivateKey's ${what}.`);
}

/** Beside `sign`, by which a PrivateKey is known. */
const METHODS = ['decrypt', 'signAgain', 'onRefused'] as const;

/**
 * Before the key is paired with a certificate. What is not there is left out or `undefined`: a `decrypt` that is `false`, taken for
 * one that is there, would have RSA key exchange offered.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT
 */
export function checkPrivateKey(key: PrivateKey): void {
  for (const name of METHODS) {
    const method: unknown = key[name];
    if (method !== undefined && typeof method !== 'function')
      throw invalid(`"${name}" must be a function; leave it out where there is none`);
  }
  if (key.publicKey !== undefined && !isUint8Array(key.publicKey))
    throw invalid('"publicKey" must be a Uint8Array: the DER of its subjectPublicKeyInfo');
}

function checkedTimeout(value: unknown): number {
  if (value === undefined) return DEFAULT_TIMEOUT_MS;
  if (typeof value === 'number' && value >= 1 && value <= MAX_TIMEOUT_MS) return value;
  throw invalid(`"timeoutMs" must be a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`);
}

function checkedPolicy(value: unknown): VerifyPolicy {
  if (value === undefined) return 'rsa';
  if (isVerifyPolicy(value)) return value;
  throw invalid(VERIFY_POLICY_NEEDED);
}

function areSchemes(value: unknown): value is readonly SignatureScheme[] {
  return Array.isArray(value) && value.length > 0 && value.every((name) => isSignatureScheme(String(name)));
}

function checkedSchemes(value: unknown, { publicKey }: KeyOwner): KeyEntry['schemes'] {
  if (value === undefined) return undefined;
  if (!areSchemes(value)) {
    throw invalid(
      '"schemes" must be an array of signature schemes by their names in RFC 8446, section 4.2.3',
    );
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKey;
  const curve = details?.namedCurve;
  const fitting = fittingSchemes(value, type, curve);
  if (fitting.length > 0) return fitting;
  throw invalid(
    `"schemes" (${value.join(', ')}) has none that its certificate's key can sign with, which is ` +
      `${[type, curve].filter(Boolean).join(' on ')}: list some of RFC 8446, section 4.2.3, for it, or leave "schemes" out`,
  );
}

/** @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for options of the key that are out of range */
export function makeKeyEntry(key: PrivateKey, certificate: KeyOwner): Omit<KeyEntry, 'number'> {
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  return {
    key,
    keyId: addon().keyId(certificate.raw) ?? Buffer.alloc(0),
    certificate: certificate.raw,
    curve: asymmetricKeyDetails?.namedCurve,
    type: asymmetricKeyType,
    isRsa: asymmetricKeyType === 'rsa' || asymmetricKeyType === 'rsa-pss',
    schemes: checkedSchemes(key.schemes, certificate),
    timeoutMs: checkedTimeout(key.timeoutMs),
    verify: checkedPolicy(key.verify),
  };
}

/**
 * Weak: OpenSSL's key lives as long as its context, and a PrivateKey may refer to who has that context (a server that is
 * its own key). What is held from here could never be collected.
 */
const entries = new Map<number, WeakRef<KeyEntry>>();

/** Remembers an entry for as long as an OpenSSL object refers to its key, and its owner holds it. */
export function rememberKey(entry: KeyEntry): void {
  for (let released = addon().takeReleasedKey(); released !== 0; released = addon().takeReleasedKey()) {
    entries.delete(released);
  }
  entries.set(entry.number, new WeakRef(entry));
}

/** The entry of a number; `undefined`: no OpenSSL object has it any more. */
export function findKey(number: number): KeyEntry | undefined {
  return entries.get(number)?.deref();
}
