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
 * Gives a key to the processes that do not have it: also again, after one that had it has ended.
 *
 * @param spki the public key, of a kind that {@link canBeIsolated}; DER
 * @param pkcs8 the private one, DER; may be wiped when this returns
 * @param alone a process that has it gives it to no other
 * @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started
 */
export function handOver(spki: Buffer, pkcs8: Buffer, alone: boolean): void {
  keyProcess.keep({ name: Buffer.from(subjectKeyId(spki)).toString('hex'), pkcs8, alone });
}

/** @param key the public one, whose private one was handed over */
export function handedKey(key: KeyObject, options: IsolatedKeyOptions = {}): PrivateKey {
  const publicKey = key.export({ type: 'spki', format: 'der' });
  const keyId = subjectKeyId(publicKey);
  const name = Buffer.from(keyId).toString('hex');
  return {
    publicKey,
    schemes: options.schemes,
    timeoutMs: options.timeoutMs,
    // The other process is our own, and OpenSSL there checks each RSA signature for the faults that would betray the key.
    verify: 'never',
    sign: ({ scheme, message }) => keyProcess.ask(name, signRequest(scheme, message, { keyId })),
    decrypt:
      key.asymmetricKeyType === 'rsa'
        ? ({ ciphertext, clientVersion }) =>
            keyProcess.ask(name, premasterRequest(ciphertext, clientVersion, { keyId }))
        : undefined,
  };
}

/**
 * A PrivateKey that signs in another process: what can be read of this one's memory is not the key. The text it was given
 * as, or the KeyObject, is the caller's to let go of. Two processes have the key, and give it to no other: when both have
 * ended, or one and later the other, it is to be given again.
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
    const publicKey = createPublicKey(opened);
    handOver(publicKey.export({ type: 'spki', format: 'der' }), pkcs8, true);
    return handedKey(publicKey, options);
  } finally {
    pkcs8.fill(0);
  }
}
