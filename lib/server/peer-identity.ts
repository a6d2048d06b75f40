/** Who a client is, by its certificate: names that its authority vouches for, and the key itself. */
import { createHash, type X509Certificate } from 'node:crypto';
import { alternativeNames } from '../protocol/alternative-names.ts';
import { otherForms, signedPart } from './certificate-forms.ts';

export interface PeerIdentity {
  /** `DNS:edge-1.internal`, `URI:spiffe://example.org/edge`: the subject alternative names (RFC 5280 §4.2.1.6). */
  readonly names: readonly string[];
  /** `sha256/` and the base64 SHA-256 of the public key (SPKI), as in RFC 7469 §2.4. */
  readonly pin: string;
  /** SHA-256 of the certificate, upper-case hexadecimal with colons. */
  readonly fingerprint: string;
  /** As that, of each form in which its holder could show it instead. */
  readonly otherFingerprints: readonly string[];
  /** SHA-256 of what its authority has signed, base64: the same in every form. */
  readonly signedDigest: string;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();

function fingerprintOf(der: Buffer): string {
  return sha256(der)
    .toString('hex')
    .toUpperCase()
    .replace(/..(?=.)/g, '$&:');
}

/** Node puts a name that holds a comma, a quote or a control character into JSON quotes; it is one name all the same. */
function splitNames(text: string): string[] {
  const names: string[] = [];
  for (const [, type, quoted, plain] of text.matchAll(
    /(DNS|URI|IP Address|email|DirName|Registered ID|othername):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/gu,
  )) {
    names.push(`${type}:${quoted === undefined ? plain : (JSON.parse(quoted) as string)}`);
  }
  return names;
}

/** What a policy can call it by. */
export function policyNamesOf({ names, pin }: PeerIdentity): string[] {
  return [...names.filter((name) => /^(DNS|URI|IP Address|email):/.test(name)), pin];
}

export function identityOf(certificate: X509Certificate): PeerIdentity {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return {
    names: splitNames(alternativeNames(certificate) ?? ''),
    pin: `sha256/${sha256(spki).toString('base64')}`,
    fingerprint: certificate.fingerprint256,
    otherFingerprints: otherForms(certificate.raw).map(fingerprintOf),
    signedDigest: sha256(signedPart(certificate.raw)).toString('base64'),
  };
}
