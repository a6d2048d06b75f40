/** Private keys in the forms that functions which take one accept. */
import { createPrivateKey, KeyObject } from 'node:crypto';
import { KeylessError } from '../errors.ts';

/** A PEM key with the passphrase that opens it, as node:tls takes it. */
export interface PemWithPassphrase {
  readonly key: string | Buffer;
  readonly passphrase?: string | Buffer | undefined;
}

/** PEM, PEM with its passphrase, or a private KeyObject. */
export type PrivateKeyInput = string | Buffer | PemWithPassphrase | KeyObject;

/**
 * @param caller the function that was given the key, for the error
 * @param passphrase of an encrypted PEM that is given without its own
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for what is not a private key
 */
export function openKey(
  caller: string,
  key: PrivateKeyInput,
  passphrase: PemWithPassphrase['passphrase'],
): KeyObject {
  if (key instanceof KeyObject) return privateOnly(caller, key);
  const pem = typeof key === 'object' && key !== null && 'key' in key ? key : { key, passphrase };
  return openPem(caller, pem);
}

function openPem(caller: string, { key, passphrase }: PemWithPassphrase): KeyObject {
  try {
    return createPrivateKey({ key, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `${caller}() needs a PEM private key (and its "passphrase" where it is encrypted).`,
      { cause },
    );
  }
}

function privateOnly(caller: string, key: KeyObject): KeyObject {
  if (key.type === 'private') return key;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `${caller}() needs a private key, not a ${key.type} one.`,
  );
}
