/**
 * Is it a TLS handshake that is to be signed, and which? Recognises the exact forms of docs/protocol.md, nothing
 * near them: what a key server signs blindly can be used against its owner.
 */
import { isOnCurve, NIST_CURVES } from './curves.ts';
import type { SigningMethod } from './schemes.ts';

/**
 * What may be signed. The first three are forms that can be recognised. `tls12-client` cannot (RFC 5246 §7.4.8: the
 * whole transcript): it stands for "any message".
 */
export const SIGNING_CONTEXTS = ['tls13-server', 'tls12-server', 'tls13-client', 'tls12-client'] as const;
export type SigningContext = (typeof SIGNING_CONTEXTS)[number];
/** The forms that can be told from any other message. */
export type RecognisedContext = Exclude<SigningContext, 'tls12-client'>;

const PAD = Buffer.alloc(64, 0x20);
const SERVER_PREFIX = Buffer.concat([PAD, Buffer.from('TLS 1.3, server CertificateVerify\0', 'ascii')]);
const CLIENT_PREFIX = Buffer.concat([PAD, Buffer.from('TLS 1.3, client CertificateVerify\0', 'ascii')]);
/** SHA-256 and SHA-384: the hashes of TLS 1.3's cipher suites. */
const TRANSCRIPT_HASH_BYTES: readonly number[] = [32, 48];

function startsWith(message: Uint8Array, prefix: Buffer): boolean {
  return Buffer.compare(message.subarray(0, prefix.length), prefix) === 0;
}

/** RFC 8446 §4.4.3. */
function tls13Context(message: Uint8Array): RecognisedContext | undefined {
  if (!TRANSCRIPT_HASH_BYTES.includes(message.length - SERVER_PREFIX.length)) return undefined;
  if (startsWith(message, SERVER_PREFIX)) return 'tls13-server';
  return startsWith(message, CLIENT_PREFIX) ? 'tls13-client' : undefined;
}

const RANDOMS_BYTES = 64;
const NAMED_CURVE = 0x03;
const POINT_AT = RANDOMS_BYTES + 4;

type IsPoint = (point: Uint8Array) => boolean;

/** RFC 8422 §5.1.1 and the IANA registry: code point to what a point of the group is. */
const GROUPS: ReadonlyMap<number, IsPoint> = new Map<number, IsPoint>([
  [23, (point) => isOnCurve(NIST_CURVES.p256, point)],
  [24, (point) => isOnCurve(NIST_CURVES.p384, point)],
  [25, (point) => isOnCurve(NIST_CURVES.p521, point)],
  [29, (point) => point.length === 32],
  [30, (point) => point.length === 56],
]);

/** RFC 8422 §5.4: both randoms, then the ECDHE parameters. */
function isServerKeyExchange(message: Uint8Array): boolean {
  if (message.length <= POINT_AT || message[RANDOMS_BYTES] !== NAMED_CURVE) return false;
  const isPoint = GROUPS.get((message[RANDOMS_BYTES + 1]! << 8) | message[RANDOMS_BYTES + 2]!);
  if (isPoint === undefined || message[POINT_AT - 1] !== message.length - POINT_AT) return false;
  return isPoint(message.subarray(POINT_AT));
}

/** @returns which of the recognisable forms the message has, `undefined`: none */
export function handshakeContext(message: Uint8Array): RecognisedContext | undefined {
  return tls13Context(message) ?? (isServerKeyExchange(message) ? 'tls12-server' : undefined);
}

/**
 * Whether TLS uses the signing method in such a handshake: TLS 1.3 has neither PKCS#1 v1.5 nor hashes below SHA-256
 * there (RFC 8446 §4.2.3).
 */
export function fitsContext(context: SigningContext, { algorithm, hash }: SigningMethod): boolean {
  if (context !== 'tls13-server' && context !== 'tls13-client') return true;
  if (algorithm === 'rsa-pkcs1') return false;
  return hash === undefined || hash === 'sha256' || hash === 'sha384' || hash === 'sha512';
}

/**
 * What tells one handshake from any other.
 *
 * @param message of the form `context`
 * @returns TLS 1.3: the transcript hash, 32 or 48 bytes; TLS 1.2: both randoms, 64 bytes
 */
export function handshakeTranscript(context: RecognisedContext, message: Uint8Array): Uint8Array {
  return context === 'tls12-server'
    ? message.subarray(0, RANDOMS_BYTES)
    : message.subarray(SERVER_PREFIX.length);
}
