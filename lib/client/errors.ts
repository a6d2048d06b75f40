/** What goes wrong between an edge and a key server, as errors of ours. */
import { KeylessError, type KeylessErrorCode } from '../errors.ts';
import type { ClientOperation } from './channels.ts';
import type { Profile } from './connection.ts';

/** Each error of the wire is one code of ours. */
const WIRE_CODES: Readonly<Record<number, KeylessErrorCode>> = {
  1: 'ERR_KEYLESS_KEY_SERVER_CRYPTO',
  2: 'ERR_KEYLESS_KEY_NOT_FOUND',
  3: 'ERR_KEYLESS_KEY_SERVER_READ',
  4: 'ERR_KEYLESS_KEY_SERVER_VERSION',
  5: 'ERR_KEYLESS_REFUSED',
  6: 'ERR_KEYLESS_KEY_SERVER_UNEXPECTED',
  7: 'ERR_KEYLESS_KEY_SERVER_MALFORMED',
  8: 'ERR_KEYLESS_KEY_SERVER_INTERNAL',
  9: 'ERR_KEYLESS_CERTIFICATE_NOT_FOUND',
};

const INTERNAL = 8;
/** Of this key server's making, whatever was asked: they count against it. */
const FAULTS: ReadonlySet<number> = new Set([3, INTERNAL]);
/** Of errors to decryption, those that say nothing of what the ciphertext holds. */
const BLIND: ReadonlySet<number> = new Set([2, 4, 5, 9]);

/** @param code the byte of an error answer */
export function isFault(code: number): boolean {
  return FAULTS.has(code);
}

/**
 * Whether it is this key server that does not do it, for want of the key or of more, and another one may. Not so of a decryption
 * that failed for what may be the padding: asking again would take time, by which a client could tell (Bleichenbacher).
 *
 * @param code the byte of an error answer
 */
export function isRefusal(kind: ClientOperation['kind'], code: number, profile: Profile): boolean {
  // For those of the field an unknown key is an internal error, too.
  if (isFault(code)) return code === INTERNAL && profile === 'field';
  return kind !== 'decrypt' || BLIND.has(code);
}

const ADVICE: Readonly<Record<number, string>> = {
  1: 'the cryptography failed: perhaps the key is not of the type that the certificate says',
  2: 'it has no such key, or does not sign such a message with it',
  3: 'it could not read its key',
  4: 'it speaks another version of the protocol',
  5: 'it does not perform this operation',
  6: 'it did not expect this operation',
  7: 'it found the request malformed',
  8: 'it failed, has too much to do, is about to end, or this edge is over its rate: see the reason in its log',
  9: 'it does not know the certificate',
};

/** @param code the byte of an error answer; @param server its name */
export function wireError(code: number, server: string): KeylessError {
  const advice = ADVICE[code] ?? 'a code that is not known';
  return new KeylessError(
    WIRE_CODES[code] ?? 'ERR_KEYLESS_PROTOCOL',
    `The key server ${server} answered with error ${code.toString(16).padStart(2, '0')}: ${advice}.`,
  );
}

/** Node's codes for a certificate that does not verify begin or read like these; the last one is for what Node has no code (name constraints, weak keys). */
const IDENTITY =
  /^(CERT_|ERROR_IN_CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_|HOSTNAME_|PATH_LENGTH|ERR_TLS_CERT_ALTNAME|UNSPECIFIED$)/;
const REFUSED_US =
  /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)|CERTIFICATE_REQUIRED/;

/** `perhaps`: the key server does not say why it ended the connection; it may have crashed as well. */
export type Refusal = 'no' | 'perhaps' | 'certain';

/**
 * Whether the key server does not accept our certificate, or we not its.
 *
 * @param error of {@link connectionError}
 * @param unanswered the key server ended the connection before it had answered anything
 */
export function refusalOf({ code, cause }: KeylessError, unanswered: boolean): Refusal {
  if (code === 'ERR_KEYLESS_KEY_SERVER_IDENTITY' || REFUSED_US.test(codeOf(cause))) return 'certain';
  return unanswered ? 'perhaps' : 'no';
}

/**
 * Key servers end connections of whom their policy does not name without an alert, and other servers on Node.js those of any
 * certificate that they do not accept; and an alert may be lost, where the connection is reset behind it.
 */
const ENDED = new Set(['', 'ECONNRESET', 'EPIPE']);
/** At the end of the message where that is all that is known. */
export const PERHAPS_REFUSED =
  'it ended the connection after the TLS handshake and before any answer: does it accept our certificate (its CA, its ' +
  'dates, its use for clients), and does its policy name us?';

/** What an error says. Those that resolve names for us may fail with anything: a text, an object, nothing at all. */
export function wordsOf(cause: unknown): string {
  const { code, message } = Object(cause) as Record<string, unknown>;
  const said = [message, code, cause].find((each) => typeof each === 'string' && each !== '');
  return (said as string | undefined)?.trimEnd() ?? 'it failed';
}

function codeOf(cause: unknown): string {
  const { code } = Object(cause) as Record<string, unknown>;
  return typeof code === 'string' ? code : '';
}

/**
 * @param cause what the connection failed with; `undefined`: the key server ended it without a reason
 * @param unanswered it did so before it had answered anything
 */
export function connectionError(cause: unknown, server: string, unanswered = false): KeylessError {
  if (cause instanceof KeylessError) return cause;
  const code = codeOf(cause);
  const said = cause === undefined ? 'it ended the connection' : wordsOf(cause);
  if (IDENTITY.test(code)) {
    return new KeylessError(
      'ERR_KEYLESS_KEY_SERVER_IDENTITY',
      `The certificate of the key server ${server} was not accepted: ${said}`,
      { cause },
    );
  }
  const what = REFUSED_US.test(code) ? 'did not accept our certificate' : 'cannot be reached or went away';
  const why = unanswered && ENDED.has(code) ? PERHAPS_REFUSED : said;
  return new KeylessError('ERR_KEYLESS_CONNECTION', `The key server ${server} ${what}: ${why}`, { cause });
}

/** @param cause why the last attempt failed */
export function noKeyServer(cause: KeylessError | undefined): KeylessError {
  const why = cause === undefined ? '' : ` ${cause.message}`;
  return new KeylessError('ERR_KEYLESS_NO_KEY_SERVER', `No key server can be reached.${why}`, { cause });
}

/** @param failed how a key server that was asked as well had failed; `undefined`: none had */
export function unanswered(server: string, ms: number, failed: KeylessError | undefined): KeylessError {
  const message = `The key server ${server} did not answer within ${ms} ms.`;
  return new KeylessError('ERR_KEYLESS_TIMEOUT', message, { cause: failed });
}

/**
 * Its time was over before anybody was asked, or asked again.
 *
 * @param nobody why no key server is there; `undefined`: one is, which has no room, or has failed at it
 * @param failed how the key server that was asked before had failed; `undefined`: none was
 */
export function waitedInVain(
  ms: number,
  nobody: KeylessError | undefined,
  failed: KeylessError | undefined,
): KeylessError {
  const cause = failed ?? (nobody?.cause as KeylessError | undefined);
  const others = failed === undefined ? 'No key server' : 'No other key server';
  const what = nobody === undefined ? 'had room for it' : 'was there';
  const why = cause === undefined ? '' : ` ${cause.message}`;
  return new KeylessError('ERR_KEYLESS_TIMEOUT', `${others} ${what} within ${ms} ms.${why}`, { cause });
}

/** Too many wait for a key server already. @param there whether there is one, which does not keep up */
export function lineFull(most: number, there: boolean): KeylessError {
  const why = `${most} operations wait already, and this one had the least time left.`;
  return there
    ? new KeylessError('ERR_KEYLESS_OVERLOADED', `The key servers do not keep up. ${why}`)
    : new KeylessError('ERR_KEYLESS_NO_KEY_SERVER', `No key server can be reached. ${why}`);
}

/** It said goodbye before it had said anything else. */
export function goingError(server: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_CONNECTION', `The key server ${server} is about to stop.`);
}

export function closedError(): KeylessError {
  return new KeylessError('ERR_KEYLESS_CLOSED', 'The connections to the key servers were closed by close().');
}

/** @param cause the reason of its signal, which is whatever somebody has aborted it with */
export function cancelledError(cause: unknown): KeylessError {
  return new KeylessError('ERR_KEYLESS_ABORTED', 'The operation was cancelled.', { cause });
}
