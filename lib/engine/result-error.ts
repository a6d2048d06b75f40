/** Why OpenSSL was not given what a PrivateKey answered, as an error for its user. */
import { KeylessError } from '../errors.ts';
import { ResultProblem } from './addon.ts';

const byteLength = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'byteLength')!
  .get!;

/** @param problem one of {@link ResultProblem}; @param answer whose own properties may be anything */
export function resultError(problem: number, answer: Uint8Array): KeylessError {
  switch (problem) {
    case ResultProblem.WRONG_SIZE:
      return new KeylessError(
        'ERR_KEYLESS_BAD_RESULT',
        `The PrivateKey answered with ${byteLength.call(answer)} bytes, which no result of this operation has. Is the key server's key ` +
          'the one of the certificate?',
      );
    case ResultProblem.MALFORMED:
      return new KeylessError(
        'ERR_KEYLESS_BAD_RESULT',
        'The PrivateKey answered with an ECDSA signature that is not DER (RFC 3279, section 2.2.3).',
      );
    case ResultProblem.BAD_SIGNATURE:
      return new KeylessError(
        'ERR_KEYLESS_BAD_SIGNATURE',
        'The signature does not verify with the certificate: it was made by another key, over another message, or ' +
          'by faulty hardware. It was not used.',
      );
    default:
      return new KeylessError('ERR_KEYLESS_STATE', 'The operation was over before its answer came.');
  }
}
