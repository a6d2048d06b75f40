/** As much of DER (X.690) as public keys, certificates and revocation lists need. */
import { KeylessError } from '../errors.ts';

export const SEQUENCE = 0x30;
export const BIT_STRING = 0x03;
export const INTEGER = 0x02;

export interface Element {
  /** With its tag and length. */
  readonly whole: Buffer;
  readonly content: Buffer;
  /** What follows it. */
  readonly rest: Buffer;
}

function malformed(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'Not DER of the form that RFC 5280 (sections 4.1 and 5.1) has for it.',
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

/** @param tag that the element must have; `undefined`: any. @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function readElement(der: Buffer, tag: number | undefined): Element {
  if (der.length === 0 || (tag !== undefined && der[0] !== tag)) throw malformed();
  const { length, start } = lengthAt(der);
  if (start + length > der.length) throw malformed();
  const end = start + length;
  return { whole: der.subarray(0, end), content: der.subarray(start, end), rest: der.subarray(end) };
}

/**
 * The content of the subjectPublicKey bit string, without the octet of unused bits.
 *
 * @param spki DER SubjectPublicKeyInfo
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function publicKeyBits(spki: Uint8Array): Buffer {
  const outer = readElement(Buffer.from(spki.buffer, spki.byteOffset, spki.length), SEQUENCE);
  const algorithm = readElement(outer.content, SEQUENCE);
  const bits = readElement(algorithm.rest, BIT_STRING);
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
  const key = readElement(publicKeyBits(spki), SEQUENCE);
  const { content } = readElement(key.content, INTEGER);
  const first = content.findIndex((octet) => octet !== 0);
  return content.subarray(Math.max(first, 0));
}
