/** A PrivateKey whose key is in a process of its own: this one hands it over and keeps nothing that signs. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { KeylessError } from '../errors.ts';
import { openKey, type PemWithPassphrase, type PrivateKeyInput } from '../keys/open-key.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import { subjectKeyId } from '../protocol/key-id.ts';
import { premasterRequest, signRequest } from '../protocol/request-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import { keyKindOf } from '../signing/key-kind.ts';
import { type KeyLease, KeyLeases } from './key-leases.ts';
import { KeyProcess } from './key-process.ts';
import { SILENCE_LIMIT_MS } from './question.ts';

/** Options of {@link isolatedKey}. */
export interface IsolatedKeyOptions {
  /** Of an encrypted PEM. */
  readonly passphrase?: PemWithPassphrase['passphrase'];
  readonly schemes?: PrivateKey['schemes'];
  readonly timeoutMs?: PrivateKey['timeoutMs'];
}

/** The processes tell who does not answer: they may have very many to answer first. Natively only the handshake's time-out ends that. */
const NO_LIMIT_MS = 2_147_483_647;

/** One for all keys of this thread. */
const keyProcess = new KeyProcess();
const leases = new KeyLeases((name) => keyProcess.drop(name));

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
 * @returns the processes have the key for as long as somebody holds this, as {@link handedKey} does
 * @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started
 */
export function handOver(spki: Buffer, pkcs8: Buffer, alone: boolean): KeyLease {
  const lease = leases.of(Buffer.from(subjectKeyId(spki)).toString('hex'));
  keyProcess.keep({ name: lease.name, pkcs8, alone });
  return lease;
}

/** @param key the public one, whose private one was handed over; @param spki the same, DER */
export function handedKey(
  lease: KeyLease,
  key: KeyObject,
  spki: Buffer,
  options: IsolatedKeyOptions = {},
): PrivateKey {
  const keyId = Buffer.from(lease.name, 'hex');
  // Who wants to wait longer for the answer wants that also of processes that are stopped.
  const silenceMs = Math.max(SILENCE_LIMIT_MS, options.timeoutMs ?? 0);
  const ask = (items: Items) => keyProcess.ask(lease, items, silenceMs);
  return {
    publicKey: spki,
    schemes: options.schemes,
    timeoutMs: options.timeoutMs ?? NO_LIMIT_MS,
    // The other process is our own, and OpenSSL there checks each RSA signature for the faults that would betray the key.
    verify: 'never',
    sign: ({ scheme, message }) => ask(signRequest(scheme, message, { keyId })),
    decrypt:
      key.asymmetricKeyType === 'rsa'
        ? ({ ciphertext, clientVersion }) => ask(premasterRequest(ciphertext, clientVersion, { keyId }))
        : undefined,
  };
}

/**
 * A PrivateKey that signs in another process: what can be read of this one's memory is not the key. The text it was given
 * as, or the KeyObject, is the caller's to let go of. Two processes have the key, and give it to no other: when both have
 * ended, or one and later the other, it is to be given again. They forget it some time after nothing refers to what this returns.
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
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    return handedKey(handOver(spki, pkcs8, true), publicKey, spki, options);
  } finally {
    pkcs8.fill(0);
  }
}
