/** As much of DER (X.690) as a SubjectPublicKeyInfo needs. */
import { KeylessError } from '../errors.ts';

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;
const INTEGER = 0x02;

interface Element {
  readonly content: Buffer;
  /** What follows it. */
  readonly rest: Buffer;
}

function malformed(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'Not a DER SubjectPublicKeyInfo (RFC 5280, section 4.1).',
  );
}

function lengthAt(der: Buffer): { length: number; start: number } {
  const first = der[1];
  if (first === undefined) throw malformed();
  if (first < 0x80) return { length: first, start: 2 };
  const octets = first & 0x7f;
  if (octets < 1 || octets > 4 || der.length < 2 + octets) throw malformed();
  return { length: der.readUIntBE(2, octets), start: 2 + octets };
}

function read(der: Buffer, tag: number): Element {
  if (der[0] !== tag) throw malformed();
  const { length, start } = lengthAt(der);
  if (start + length > der.length) throw malformed();
  return { content: der.subarray(start, start + length), rest: der.subarray(start + length) };
}

/**
 * The content of the subjectPublicKey bit string, without the octet of unused bits.
 *
 * @param spki DER SubjectPublicKeyInfo
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function publicKeyBits(spki: Uint8Array): Buffer {
  const outer = read(Buffer.from(spki.buffer, spki.byteOffset, spki.length), SEQUENCE);
  const algorithm = read(outer.content, SEQUENCE);
  const bits = read(algorithm.rest, BIT_STRING);
  if (bits.content[0] !== 0) throw malformed();
  return bits.content.subarray(1);
}

/**
 * The modulus of an RSA key, big-endian, without leading zeros.
 *
 * @param spki DER SubjectPublicKeyInfo of an RSA key (RFC 8017 §A.1.1)
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function rsaModulus(spki: Uint8Array): Buffer {
  const key = read(publicKeyBits(spki), SEQUENCE);
  const { content } = read(key.content, INTEGER);
  const first = content.findIndex((octet) => octet !== 0);
  return content.subarray(Math.max(first, 0));
}
