/** What Node's users are told of a handshake that failed by ours. */
import { KeylessError } from '../errors.ts';

/** What OpenSSL says of a failed operation is the consequence; it is kept for whoever looks closer. */
export function withCause(error: KeylessError, consequence: Error): KeylessError {
  try {
    error.cause ??= consequence;
  } catch {
    // A PrivateKey's own error may be frozen, or worse: it is what it is.
  }
  return error;
}

/** @param alert what the peer has said of it; `undefined`: it has gone without a word */
export function refusedSignature(alert: Error | undefined): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_BAD_SIGNATURE',
    "The peer refused the handshake because the PrivateKey's signature does not verify with the certificate.",
    { cause: alert },
  );
}

export function unexplainedFailure(): KeylessError {
  return new KeylessError('ERR_KEYLESS_HANDSHAKE', 'The TLS handshake failed and OpenSSL does not say why.');
}
