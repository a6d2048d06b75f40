/** A PrivateKey whose key is in a process of its own: this one hands it over and keeps nothing that signs. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { KeylessError } from '../errors.ts';
import { openKey, type PemWithPassphrase, type PrivateKeyInput } from '../keys/open-key.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import { subjectKeyId } from '../protocol/key-id.ts';
import { premasterRequest, signRequest } from '../protocol/request-encoder.ts';
import { keyKindOf } from '../signing/key-kind.ts';
import { KeyProcess } from './key-process.ts';

/** Options of {@link isolatedKey}. */
export interface IsolatedKeyOptions {
  /** Of an encrypted PEM. */
  readonly passphrase?: PemWithPassphrase['passphrase'];
  readonly schemes?: PrivateKey['schemes'];
  readonly timeoutMs?: PrivateKey['timeoutMs'];
}

/** One for all keys of this thread. */
const keyProcess = new KeyProcess();
/** Public keys whose private ones were handed over. */
const kept = new Set<string>();

/** Whether the process of the keys signs with keys of this kind: not DSA, and no curves that are not TLS 1.3's. */
export function canBeIsolated(key: KeyObject): boolean {
  try {
    keyKindOf(key);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param key the public one, of a kind that {@link canBeIsolated}
 * @param pkcs8 the private one, DER; may be wiped when this returns
 * @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started
 */
export function isolate(key: KeyObject, pkcs8: Buffer, options: IsolatedKeyOptions = {}): PrivateKey {
  const publicKey = key.export({ type: 'spki', format: 'der' });
  const name = publicKey.toString('base64');
  if (!kept.has(name)) keyProcess.keep(pkcs8);
  kept.add(name);
  const keyId = subjectKeyId(publicKey);
  return {
    publicKey,
    schemes: options.schemes,
    timeoutMs: options.timeoutMs,
    // The other process is our own, and OpenSSL there checks each RSA signature for the faults that would betray the key.
    verify: 'never',
    sign: ({ scheme, message }) => keyProcess.ask(signRequest(scheme, message, { keyId })),
    decrypt:
      key.asymmetricKeyType === 'rsa'
        ? ({ ciphertext, clientVersion }) =>
            keyProcess.ask(premasterRequest(ciphertext, clientVersion, { keyId }))
        : undefined,
  };
}

/**
 * A PrivateKey that signs in another process: what can be read of this one's memory is not the key. The text it was given
 * as, or the KeyObject, is the caller's to let go of.
 *
 * @param key PEM, PEM with its passphrase, or a private KeyObject of RSA, RSA-PSS, EC, Ed25519 or Ed448
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for what is not such a key; ERR_KEYLESS_PLATFORM: the process cannot
 *   be started
 */
export function isolatedKey(key: PrivateKeyInput, options: IsolatedKeyOptions = {}): PrivateKey {
  const opened = openKey('isolatedKey', key, options.passphrase);
  if (!canBeIsolated(opened)) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      'isolatedKey() needs a key of RSA, RSA-PSS, P-256, P-384, P-521, Ed25519 or Ed448.',
    );
  }
  const pkcs8 = opened.export({ type: 'pkcs8', format: 'der' });
  try {
    return isolate(createPublicKey(opened), pkcs8, options);
  } finally {
    pkcs8.fill(0);
  }
}
