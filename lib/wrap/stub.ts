/**
 * Stubs: what stands in a key file where the key is on a key server. PEM with a label of its own, so that nobody takes it
 * for a key: the public key (SPKI, DER), and its key id for people to compare.
 */
import { createPublicKey, type X509Certificate } from 'node:crypto';
import { KeylessError } from '../errors.ts';
import { alternativeNames } from '../protocol/alternative-names.ts';
import { subjectKeyId } from '../protocol/key-id.ts';

const LABEL = 'KEYLESS-TLS KEY STUB';
const BEGIN = `-----BEGIN ${LABEL}-----`;
const END = `-----END ${LABEL}-----`;

const EXPLANATION = `This is no private key. It is a stub of keyless-tls: the key is on a key server, and only a program that runs with
"node --import keyless-tls/register" or "keyless-tls run" can use it.
`;

/** What a stub says. */
export interface Stub {
  /** DER subjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** 40 hexadecimal digits. */
  readonly keyId: string;
}

function keyIdOf(publicKey: Buffer): string {
  return Buffer.from(subjectKeyId(publicKey)).toString('hex');
}

/** For people. A certificate's names may all be in the extension: Node 20 has no subject for that, later ones an empty one. */
function nameLine(certificate: X509Certificate): string {
  const [label, text] = certificate.subject
    ? ['Subject', certificate.subject]
    : ['Names', alternativeNames(certificate) ?? ''];
  return `${label}: ${text.replace(/[^ -~]+/g, ', ')}`;
}

/** The text of the stub file for a certificate's key. */
export function makeStub(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const base64 = spki.toString('base64').replace(/.{1,64}/g, '$&\n');
  const about = `${nameLine(certificate)}\nKey-Id: ${keyIdOf(spki)}\n`;
  return `${EXPLANATION}${about}${BEGIN}\n${base64}${END}\n`;
}

function broken(why: string): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `A stub of keyless-tls cannot be read: ${why}. Make it again with "keyless-tls stub certificate.pem".`,
  );
}

function publicKeyIn(text: string): Buffer {
  const [, rest = ''] = text.split(BEGIN);
  const [base64 = '', end] = rest.split(END);
  if (end === undefined) throw broken('it is cut off');
  const spki = Buffer.from(base64.replace(/\s/g, ''), 'base64');
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({
      type: 'spki',
      format: 'der',
    });
  } catch {
    throw broken('it holds no public key');
  }
}

const WORDS = [LABEL, 'stub of keyless-tls'];

/** Something of a stub is there, and nothing that may be another key: OpenSSL would say nothing that helps. */
function isRestOfStub(text: string): boolean {
  return WORDS.some((words) => text.includes(words)) && !/-----BEGIN [^-]*PRIVATE KEY-----/.test(text);
}

/**
 * @param text of a key file, a character for each byte
 * @returns `undefined`: it is no stub
 * @throws ERR_KEYLESS_INVALID_ARGUMENT for a stub that is cut off or was changed
 */
export function readStub(text: string): Stub | undefined {
  if (!text.includes(BEGIN)) {
    if (isRestOfStub(text.replaceAll('\0', '')))
      throw broken(text.includes('\0') ? 'it is in UTF-16' : `the line "${BEGIN}" is not there`);
    return undefined;
  }
  const publicKey = publicKeyIn(text);
  const keyId = keyIdOf(publicKey);
  const said = /^Key-Id:(.*)$/m.exec(text)?.[1]?.trim();
  if (said !== undefined && said !== keyId) throw broken('its key id is not that of its public key');
  return { publicKey, keyId };
}
