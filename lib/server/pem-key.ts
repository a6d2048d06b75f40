/** A private key in this process's memory, from PEM. */
import { createPrivateKey, createPublicKey, KeyObject } from 'node:crypto';
import { type DigestSigners, digestSigners, rawRsa } from '../engine/digest-signer.ts';
import { KeylessError } from '../errors.ts';
import { certificateDigest, subjectKeyId } from '../protocol/key-id.ts';
import { keyKindOf, publicKeyDer } from '../signing/key-kind.ts';
import { modulusOf, requireBelowModulus } from '../signing/raw-rsa.ts';
import { rsaRawDecryptInThread, rsaSignDigestInThread } from '../signing/raw-rsa-thread.ts';
import { signHere, signInPool } from '../signing/sign-message.ts';
import type { StoredKey } from './key-store.ts';
import { SIGNING_THREADS } from './workplaces.ts';

function isRsa(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss';
}

/**
 * RSA signs in threads: it takes from 0.3 ms (2048 bits) to tens of them. The others take about 30 µs (P-256), of
 * which the way there and back would be a quarter; P-384 and P-521, ten times as slow, go there too.
 */
function signsInPool(key: KeyObject): boolean {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return isRsa(key) || curve === 'secp384r1' || curve === 'secp521r1' || key.asymmetricKeyType === 'ed448';
}

function signWith(key: KeyObject, inPool: boolean, signerOf: DigestSigners): StoredKey['sign'] {
  return (method, message, digest) => {
    const signer = digest && signerOf(method);
    if (digest === undefined || signer === undefined)
      return (inPool ? signInPool : signHere)(key, method, message);
    return inPool ? signer.signInPool(digest) : signer.sign(digest);
  };
}

/** By the addon; without it node:crypto, which signs digests by PKCS#1 v1.5 only. */
function signDigestWith(
  key: KeyObject,
  inPool: boolean,
  signerOf: DigestSigners,
): NonNullable<StoredKey['signDigest']> {
  return (method, digest) => {
    const signer = signerOf(method);
    if (signer !== undefined) return inPool ? signer.signInPool(digest) : signer.sign(digest);
    if (method.algorithm === 'rsa-pkcs1') return rsaSignDigestInThread(key, method.hash!, digest);
    throw new KeylessError(
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      `Digests of ${method.algorithm} need the addon of keyless-tls, which this Node.js does not load.`,
    );
  };
}

/**
 * @param pem PKCS#8, PKCS#1 or SEC 1; or the key that it was
 * @param label for people: where it comes from
 * @param passphrase of an encrypted key
 * @throws what node:crypto throws; ERR_KEYLESS_UNSUPPORTED_KEY
 */
export function pemKey(pem: string | Buffer | KeyObject, label: string, passphrase?: string): StoredKey {
  const key =
    pem instanceof KeyObject
      ? pem
      : createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  const kind = keyKindOf(key);
  const spki = publicKeyDer(key);
  const inPool = signsInPool(key);
  const signerOf = digestSigners(key);
  const stored: StoredKey = {
    keyId: subjectKeyId(spki),
    certificateDigest: isRsa(key) ? certificateDigest(spki) : undefined,
    kind,
    label,
    workplace: inPool ? SIGNING_THREADS : undefined,
    sign: signWith(key, inPool, signerOf),
  };
  // Ed25519 and Ed448 hash the message themselves.
  if (isRsa(key) || kind.type === 'ec') stored.signDigest = signDigestWith(key, inPool, signerOf);
  if (kind.type !== 'rsa') return stored;
  const modulus = modulusOf(createPublicKey(key));
  let inThread: ((ciphertext: Uint8Array) => Promise<Uint8Array>) | undefined;
  stored.decryptRaw = async (ciphertext) => {
    requireBelowModulus(ciphertext, modulus);
    inThread ??= rawRsa(key) ?? ((each) => rsaRawDecryptInThread(key, each));
    return inThread(ciphertext);
  };
  return stored;
}
