/**
 * Every error this package raises itself, with a stable `code`.
 *
 * The table below is the one list of codes; docs/errors.md explains each and a test compares the two.
 * It must not import anything: every other room of the house imports it.
 */

/** What each code means, in one sentence for the user. */
export const ERROR_CODES = {
  ERR_KEYLESS_PLATFORM:
    'This Node.js cannot pause a handshake (no OpenSSL 3, no async jobs, or no binary for it).',
  ERR_KEYLESS_INVALID_ARGUMENT: 'An option has the wrong type or value.',
  ERR_KEYLESS_NO_CERTIFICATE: 'A PrivateKey was given without the certificate it belongs to.',
  ERR_KEYLESS_KEY_MISMATCH: 'The PrivateKey does not belong to the certificate.',
  ERR_KEYLESS_UNSUPPORTED_KEY: 'The certificate holds a kind of key that cannot be used remotely.',
  ERR_KEYLESS_UNSUPPORTED_SCHEME: 'The PrivateKey cannot sign with the signature scheme the handshake chose.',
  ERR_KEYLESS_OPERATION_FAILED: 'The PrivateKey threw or rejected; see `cause`.',
  ERR_KEYLESS_BAD_RESULT: 'The PrivateKey answered with something that is not a result of this operation.',
  ERR_KEYLESS_BAD_SIGNATURE: 'The signature does not verify with the certificate.',
  ERR_KEYLESS_TIMEOUT: 'The operation was not answered in time.',
  ERR_KEYLESS_ABORTED: 'The connection went away while the operation was pending.',
  ERR_KEYLESS_TOO_MANY_HANDSHAKES: 'Too many handshakes are waiting for their private-key operation.',
  ERR_KEYLESS_STATE: 'The call does not fit the state of the handshake.',
  ERR_KEYLESS_HANDSHAKE: 'The TLS handshake failed.',
  ERR_KEYLESS_NO_KEY_SERVER: 'No key server can be reached now; see `cause`.',
  ERR_KEYLESS_OVERLOADED: 'The key servers do not keep up with what is asked of them.',
  ERR_KEYLESS_CONNECTION: 'The connection to the key server failed or ended while an operation was pending.',
  ERR_KEYLESS_KEY_SERVER_IDENTITY:
    'The certificate of the key server was not accepted (expired, other name, other CA).',
  ERR_KEYLESS_PROTOCOL: 'The peer sent bytes that are not the protocol.',
  ERR_KEYLESS_CLOSED: 'It was closed with `close()` before.',
  ERR_KEYLESS_KEY_SERVER_CRYPTO:
    'The key server could not do the cryptography, for example the key is of another type.',
  ERR_KEYLESS_KEY_NOT_FOUND:
    'The key server has no such key for this edge, or does not sign such a message with it.',
  ERR_KEYLESS_KEY_SERVER_READ: 'The key server could not read its key.',
  ERR_KEYLESS_KEY_SERVER_VERSION: 'The key server speaks another version of the protocol.',
  ERR_KEYLESS_REFUSED: 'The key server does not perform this kind of operation.',
  ERR_KEYLESS_KEY_SERVER_UNEXPECTED: 'The key server did not expect such a request.',
  ERR_KEYLESS_KEY_SERVER_MALFORMED: 'The key server found the request malformed.',
  ERR_KEYLESS_KEY_SERVER_INTERNAL: 'The key server failed.',
  ERR_KEYLESS_KEY_STORE:
    'What holds the keys of the key server (an agent, a token) does not answer or does not sign.',
  ERR_KEYLESS_AUDIT: 'The audit log of the key server cannot be written or read.',
  ERR_KEYLESS_CERTIFICATE_NOT_FOUND: 'The key server does not know the certificate.',
} as const;

/** One of the stable codes of {@link KeylessError}. */
export type KeylessErrorCode = keyof typeof ERROR_CODES;

/** An error of this package: `code` is stable, `cause` is what led to it, `message` says what to do. */
export class KeylessError extends Error {
  readonly code: KeylessErrorCode;

  /**
   * @param code one of {@link ERROR_CODES}
   * @param message what happened, why, and what to do; never a secret
   * @param options `cause`: the error that led to this one
   */
  constructor(code: KeylessErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'KeylessError';
    this.code = code;
  }
}
