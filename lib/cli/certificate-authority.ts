/**
 * A private certificate authority: X.509 v3 certificates (RFC 5280) with P-256 signatures, for mutual TLS between edges
 * and key servers, and for the demo. node:crypto reads certificates but makes none.
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIPv4 } from 'node:net';
import { KeylessError } from '../errors.ts';
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
  tlv,
  utf8String,
} from '../protocol/der-writer.ts';

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
  subjectAltName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** A certificate and its private key, PEM. */
export interface Credentials {
  readonly certPem: string;
  readonly keyPem: string;
}

/** `rsa` has 2,048 bits, `ec` is P-256. */
export type KeyType = 'rsa' | 'rsa-3072' | 'ec' | 'p-384' | 'ed25519';

/** What a certificate is to say. */
export interface CertificateRequest {
  readonly commonName: string;
  readonly dnsNames?: readonly string[] | undefined;
  readonly ipv4Addresses?: readonly string[] | undefined;
  readonly usage: 'server' | 'client';
  readonly keyType: KeyType;
  /** From one hour ago on; 1 to 36,500. */
  readonly days: number;
}

interface Issuer {
  readonly name: Buffer;
  readonly keyId: Buffer;
  readonly key: KeyObject;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SERIAL_BYTES = 16;

const name = (commonName: string): Buffer =>
  sequence(set(sequence(objectIdentifier(OID.commonName), utf8String(commonName))));

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

const exportKey = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

const GENERATORS: Readonly<Record<KeyType, () => { publicKey: KeyObject; privateKey: KeyObject }>> = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-3072': () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  ec: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'p-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ed25519: () => generateKeyPairSync('ed25519'),
};

/** RFC 5280 §4.2.1.2 asks for an identifier that is unique; this one is a hash of the whole SPKI (RFC 7093 §2). */
const keyIdentifier = (spki: Buffer): Buffer => createHash('sha256').update(spki).digest().subarray(0, 20);

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [boolean(true)] : [];
  return sequence(objectIdentifier(oid), ...flag, octetString(value));
}

/** @returns no extension where there is no name: it must have one (RFC 5280 §4.2.1.6) */
function altNames({ dnsNames = [], ipv4Addresses = [] }: CertificateRequest): Buffer[] {
  const addresses = ipv4Addresses
    .filter(isIPv4)
    .map((address) => tlv(0x87, Buffer.from(address.split('.').map(Number))));
  const names = [...dnsNames.map((dns) => tlv(0x82, Buffer.from(dns))), ...addresses];
  return names.length === 0 ? [] : [extension(OID.subjectAltName, false, sequence(...names))];
}

/** keyUsage bits, first bit first: digitalSignature 0x80, keyEncipherment 0x20, keyCertSign 0x04, cRLSign 0x02. */
function keyUsage(bits: number): Buffer {
  const unused = Math.clz32(bits & -bits) === 32 ? 0 : 31 - Math.clz32(bits & -bits);
  return extension(OID.keyUsage, true, bitString(Buffer.of(bits), unused));
}

function leafExtensions(request: CertificateRequest, keyId: Buffer, issuer: Issuer): Buffer[] {
  const purpose = request.usage === 'server' ? OID.serverAuth : OID.clientAuth;
  return [
    extension(OID.basicConstraints, true, sequence()),
    keyUsage(request.keyType.startsWith('rsa') ? 0xa0 : 0x80),
    extension(OID.extendedKeyUsage, false, sequence(objectIdentifier(purpose))),
    extension(OID.subjectKeyIdentifier, false, octetString(keyId)),
    extension(OID.authorityKeyIdentifier, false, sequence(tlv(0x80, issuer.keyId))),
    ...altNames(request),
  ];
}

function certificate(
  subject: Buffer,
  spki: Buffer,
  days: number,
  extensions: readonly Buffer[],
  issuer: Issuer,
): string {
  const now = Date.now();
  const algorithm = sequence(objectIdentifier(OID.ecdsaWithSha256));
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive and of full length
  const validity = sequence(time(new Date(now - HOUR_MS)), time(new Date(now + days * DAY_MS)));
  const version3 = explicit(0, integer(Buffer.of(2)));
  const fields = [version3, integer(serial), algorithm, issuer.name, validity, subject, spki];
  const toBeSigned = sequence(...fields, explicit(3, sequence(...extensions)));
  return pem(
    'CERTIFICATE',
    sequence(toBeSigned, algorithm, bitString(sign('sha256', toBeSigned, issuer.key))),
  );
}

/** Signs certificates for edges and key servers. Its own key is P-256 and stays in this object and in `keyPem`. */
export class CertificateAuthority {
  readonly certPem: string;
  readonly keyPem: string;
  readonly #issuer: Issuer;

  private constructor(certPem: string, issuer: Issuer) {
    this.certPem = certPem;
    this.keyPem = exportKey(issuer.key);
    this.#issuer = issuer;
  }

  /** A new authority. @param days how long it is valid, 1 to 36,500 */
  static make(commonName: string, days: number): CertificateAuthority {
    const { publicKey, privateKey } = GENERATORS.ec();
    const spki = spkiOf(publicKey);
    const issuer = { name: name(commonName), keyId: keyIdentifier(spki), key: privateKey };
    const extensions = [
      extension(OID.basicConstraints, true, sequence(boolean(true))),
      keyUsage(0x06),
      extension(OID.subjectKeyIdentifier, false, octetString(issuer.keyId)),
    ];
    return new CertificateAuthority(certificate(issuer.name, spki, days, extensions, issuer), issuer);
  }

  /**
   * One that {@link make} made before, from its two files.
   *
   * @throws ERR_KEYLESS_INVALID_ARGUMENT if they do not belong together or are not such an authority's
   */
  static load(certPem: string, keyPem: string): CertificateAuthority {
    const cert = new X509Certificate(certPem);
    const key = createPrivateKey(keyPem);
    const commonName = /^CN=(.*)$/.exec(cert.subject)?.[1];
    if (commonName === undefined || !cert.ca || !cert.checkPrivateKey(key)) {
      throw new KeylessError(
        'ERR_KEYLESS_INVALID_ARGUMENT',
        'The certificate and the key of the authority do not belong together, or "keyless-tls init" did not make them.',
      );
    }
    const keyId = keyIdentifier(spkiOf(cert.publicKey));
    return new CertificateAuthority(certPem, { name: name(commonName), keyId, key });
  }

  /** When it ends, and all that it has signed with it: milliseconds since 1970. */
  get endsAt(): number {
    return Date.parse(new X509Certificate(this.certPem).validTo);
  }

  /** Makes a key and a certificate for it. */
  issue(request: CertificateRequest): Credentials {
    const { publicKey, privateKey } = GENERATORS[request.keyType]();
    const spki = spkiOf(publicKey);
    const extensions = leafExtensions(request, keyIdentifier(spki), this.#issuer);
    const certPem = certificate(name(request.commonName), spki, request.days, extensions, this.#issuer);
    return { certPem, keyPem: exportKey(privateKey) };
  }
}
