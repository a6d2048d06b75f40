/** One signature with node:crypto: made here, on this thread, or in libuv's thread pool, or looked at there. */
import { constants, type KeyObject, type SignKeyObjectInput, sign, verify } from 'node:crypto';
import type { SigningMethod } from '../protocol/schemes.ts';

type KeyInput = KeyObject | SignKeyObjectInput;

function keyInput(key: KeyObject, { algorithm }: SigningMethod): KeyInput {
  if (algorithm !== 'rsa-pss') return key;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

/** ECDSA signatures are DER, as TLS has them (RFC 8446 §4.2.3). @throws what node:crypto throws */
export function signHere(key: KeyObject, method: SigningMethod, message: Uint8Array): Buffer {
  return sign(method.hash, message, keyInput(key, method));
}

/** As {@link signHere}, off this thread. */
export function signInPool(key: KeyObject, method: SigningMethod, message: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(method.hash, message, keyInput(key, method), (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}

/** @param key the public one; @returns whether {@link signHere} could have made the signature; `false` for any other bytes */
export function verifyInPool(
  key: KeyObject,
  method: SigningMethod,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return new Promise((resolve) => {
    verify(method.hash, message, keyInput(key, method), signature, (error, good) => {
      resolve(error === null && good);
    });
  });
}
