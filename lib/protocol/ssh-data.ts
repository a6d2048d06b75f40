/** The data types of SSH (RFC 4251 §5) that keys and signatures are made of, and their likes in JWK and DER. */
import { integer, sequence } from './der-writer.ts';

type Complaint = (what: string) => Error;

/** A length in four bytes, and the bytes. */
export function sshString(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

/** Reads from the front; every read throws the complaint where there is too little. */
export class SshReader {
  #rest: Buffer;
  readonly #complain: Complaint;

  constructor(bytes: Buffer, complain: Complaint) {
    this.#rest = bytes;
    this.#complain = complain;
  }

  uint32(): number {
    if (this.#rest.length < 4) throw this.#complain('it ends in the middle of a number');
    const value = this.#rest.readUInt32BE(0);
    this.#rest = this.#rest.subarray(4);
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    if (length > this.#rest.length) throw this.#complain('a string that is longer than what holds it');
    const value = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return value;
  }

  /** A positive multiple precision integer in its shortest form. @returns big-endian, without leading zeros */
  positive(maxBytes: number): Buffer {
    const value = this.string();
    const [first = 0, second = 0] = value;
    const magnitude = first === 0 ? value.subarray(1) : value;
    const shortest = first !== 0 || second >= 0x80;
    if (first >= 0x80 || !shortest || magnitude.length > maxBytes) {
      throw this.#complain(`an integer that is not from 1 to ${maxBytes} bytes, or not in its shortest form`);
    }
    return magnitude;
  }

  end(): void {
    if (this.#rest.length > 0) throw this.#complain(`${this.#rest.length} bytes too many`);
  }
}

/** A public key as JWK (RFC 7517), which node:crypto takes. */
export interface PublicJwk {
  readonly kty: 'RSA' | 'EC' | 'OKP';
  readonly [member: string]: string;
}

interface SshCurve {
  readonly name: string;
  readonly bytes: number;
}

/** RFC 5656 §10.1: what SSH calls the curves. */
const CURVES: Readonly<Record<string, SshCurve>> = {
  'ecdsa-sha2-nistp256': { name: 'P-256', bytes: 32 },
  'ecdsa-sha2-nistp384': { name: 'P-384', bytes: 48 },
  'ecdsa-sha2-nistp521': { name: 'P-521', bytes: 66 },
};
const UNCOMPRESSED = 0x04;
const ED25519_BYTES = 32;
/** 16,384 bits, OpenSSL's own bound. */
const MAX_RSA_BYTES = 2048;

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

function ecKey(type: string, { name, bytes }: SshCurve, reader: SshReader, complain: Complaint): PublicJwk {
  if (`ecdsa-sha2-${reader.string().toString('latin1')}` !== type) throw complain('a key of two curves');
  const point = reader.string();
  if (point.length !== 1 + 2 * bytes || point[0] !== UNCOMPRESSED) throw complain('a point of another form');
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  return { kty: 'EC', crv: name, x: base64url(x), y: base64url(y) };
}

function rsaKey(reader: SshReader): PublicJwk {
  const e = reader.positive(MAX_RSA_BYTES);
  return { kty: 'RSA', e: base64url(e), n: base64url(reader.positive(MAX_RSA_BYTES)) };
}

function ed25519Key(reader: SshReader, complain: Complaint): PublicJwk {
  const bytes = reader.string();
  if (bytes.length !== ED25519_BYTES) throw complain(`an Ed25519 key of ${bytes.length} bytes`);
  return { kty: 'OKP', crv: 'Ed25519', x: base64url(bytes) };
}

/**
 * @param blob a public key (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4)
 * @param complain makes the error for what is none
 * @returns `undefined` with its type: no key that signs plain messages (a certificate, a FIDO key, DSA)
 */
export function publicKeyOfBlob(
  blob: Buffer,
  complain: Complaint,
): { readonly type: string; readonly jwk: PublicJwk | undefined } {
  const reader = new SshReader(blob, complain);
  const type = reader.string().toString('latin1');
  const curve = Object.hasOwn(CURVES, type) ? CURVES[type] : undefined;
  let jwk: PublicJwk;
  if (curve !== undefined) jwk = ecKey(type, curve, reader, complain);
  else if (type === 'ssh-rsa') jwk = rsaKey(reader);
  else if (type === 'ssh-ed25519') jwk = ed25519Key(reader, complain);
  else return { type, jwk: undefined };
  reader.end();
  return { type, jwk };
}

/** @param blob r and s (RFC 5656 §3.1.2). @param bytes of one of them at most. @returns DER (RFC 5480's ECDSA-Sig-Value) */
export function ecdsaDerOfBlob(blob: Buffer, bytes: number, complain: Complaint): Buffer {
  const reader = new SshReader(blob, complain);
  const integers = [reader.positive(bytes), reader.positive(bytes)];
  reader.end();
  return sequence(...integers.map(integer));
}
