/**
 * Certificates of authorities that somebody has made for himself: with any name and anybody's public key, signed by whatever key
 * he has. They vouch for nobody, and whoever is let in can send them beside his own.
 */
import { constants, type KeyObject, sign } from 'node:crypto';
import {
  bitString,
  boolean,
  explicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from '../../lib/protocol/der-writer.ts';

export interface SelfMade {
  /** Of the subject: a common name, as `makeAuthority` writes it. */
  readonly name: string;
  /** Default: itself. */
  readonly issuer?: string;
  readonly publicKey: KeyObject;
  /** Of EC, or of RSA: then by RSASSA-PSS. */
  readonly signedBy: KeyObject;
  /** With its tag and length. */
  readonly serial?: Buffer;
  readonly hasExpired?: boolean;
}

const ECDSA_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
/** RFC 4055, section 3.1: SHA-256, and as many bytes of salt. */
const SHA256 = sequence(objectIdentifier('2.16.840.1.101.3.4.2.1'));
const PSS_SHA256 = sequence(
  objectIdentifier('1.2.840.113549.1.1.10'),
  sequence(
    explicit(0, SHA256),
    explicit(1, sequence(objectIdentifier('1.2.840.113549.1.1.8'), SHA256)),
    explicit(2, integer(Buffer.of(32))),
  ),
);
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
const DAY_MS = 86_400_000;

function nameOf(text: string): Buffer {
  return sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(text))));
}

const IS_AUTHORITY = sequence(objectIdentifier('2.5.29.19'), octetString(sequence(boolean(true))));

let made = 0;

/** @returns PEM */
export function selfMade({
  name,
  issuer = name,
  publicKey,
  signedBy,
  serial,
  hasExpired = false,
}: SelfMade): { readonly certPem: string } {
  made += 1;
  const algorithm = signedBy.asymmetricKeyType === 'rsa' ? PSS_SHA256 : ECDSA_SHA256;
  const now = Date.now() - (hasExpired ? 2 * DAY_MS : 0);
  const toBeSigned = sequence(
    explicit(0, integer(Buffer.of(2))),
    serial ?? integer(Buffer.of(1, made >> 8, made)),
    algorithm,
    nameOf(issuer),
    sequence(time(new Date(now - DAY_MS)), time(new Date(now + DAY_MS))),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(IS_AUTHORITY)),
  );
  const signature = bitString(sign('sha256', toBeSigned, { key: signedBy, ...PSS }));
  const der = sequence(toBeSigned, algorithm, signature);
  const lines = der.toString('base64').replace(/.{1,64}/g, '$&\n');
  return { certPem: `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n` };
}
