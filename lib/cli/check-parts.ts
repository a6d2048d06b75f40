/** The single questions of `keyless-tls check`. Each answers with what it found, or throws with what to do. */
import { constants, randomBytes, verify, type X509Certificate } from 'node:crypto';
import type { KeyServers } from '../keys/key-servers.ts';
import type { SignatureScheme, SignOperation } from '../keys/private-key.ts';
import { subjectKeyId } from '../protocol/key-id.ts';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import { keyKindOf } from '../signing/key-kind.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const HOUR_MS = 3_600_000;
const SOON_MS = 72 * HOUR_MS;

/** @param now milliseconds since 1970, by this machine's clock */
export function checkDates(certificate: X509Certificate, now: number): string {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const clock = `this machine's clock says ${new Date(now).toISOString()}`;
  if (now < from)
    throw new Error(`it is valid from ${certificate.validFrom}, and ${clock}. Set the clock, or wait.`);
  if (now > to)
    throw new Error(`it was valid until ${certificate.validTo}, and ${clock}. Renew it, or set the clock.`);
  const left = Math.floor((to - now) / HOUR_MS);
  return `until ${certificate.validTo}${to - now < SOON_MS ? `: only ${left} hours more, renew it` : ''}`;
}

const MAX_SKEW_MS = 30_000;

/** @param skewMs how far the key server's clock is ahead of ours; `undefined`: it does not say */
export function checkClock(skewMs: number | undefined): string {
  if (skewMs === undefined) return 'it does not say what time it is';
  const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
  const where = skewMs > 0 ? 'ahead of' : 'behind';
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return `${seconds} s ${where} this machine's`;
  throw new Error(
    `it is ${seconds} s ${where} this machine's (${new Date().toISOString()}). One of the two is wrong: certificates count too ` +
      'early or too late there, and so do session-ticket keys. Set the clock (NTP).',
  );
}

export function checkUsage(certificate: X509Certificate): string {
  const usages = certificate.keyUsage as readonly string[] | undefined;
  if (usages === undefined) return 'for anything';
  if (usages.includes(CLIENT_AUTH)) return 'yes';
  throw new Error('its extended key usage does not allow client authentication. Issue one that does.');
}

/** One that TLS 1.3 has for the key. */
function schemeOf(certificate: X509Certificate): SignatureScheme {
  const { type, curve } = keyKindOf(certificate.publicKey);
  if (type === 'rsa') return 'rsa_pss_rsae_sha256';
  if (type === 'rsa-pss') return 'rsa_pss_pss_sha256';
  if (type !== 'ec') return type;
  if (curve === 'prime256v1') return 'ecdsa_secp256r1_sha256';
  return curve === 'secp384r1' ? 'ecdsa_secp384r1_sha384' : 'ecdsa_secp521r1_sha512';
}

/** RFC 8446 §4.4.3, of a handshake that never was: nobody has such a transcript hash. */
function certificateVerify(): Buffer {
  const context = 'TLS 1.3, server CertificateVerify\0';
  return Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from(context, 'latin1'), randomBytes(32)]);
}

function hostOf({ subjectAltName = '' }: X509Certificate): string | undefined {
  return /(?:^|, )DNS:([\w.*-]+)/.exec(subjectAltName)?.[1]?.replace('*', 'www');
}

function isSignature(
  certificate: X509Certificate,
  scheme: SignatureScheme,
  message: Buffer,
  signature: Uint8Array,
) {
  const { algorithm, hash } = SIGNING_METHODS[scheme];
  const key = certificate.publicKey;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return verify(hash, message, algorithm === 'rsa-pss' ? { key, ...pss } : key, signature);
}

/** Has the key of the certificate sign, and verifies it. */
export async function checkSignature(
  keys: KeyServers,
  certificate: X509Certificate,
  timeoutMs: number,
): Promise<string> {
  const scheme = schemeOf(certificate);
  const message = certificateVerify();
  const keyId = subjectKeyId(certificate.publicKey.export({ type: 'spki', format: 'der' }));
  const since = performance.now();
  const operation: SignOperation = {
    kind: 'sign',
    scheme,
    message,
    keyId,
    certificate: certificate.raw,
    role: 'server',
    servername: hostOf(certificate),
    peerAddress: undefined,
    localAddress: undefined,
    deadline: since + timeoutMs,
    signal: AbortSignal.timeout(timeoutMs),
  };
  const signature = await keys.sign(operation);
  const ms = (performance.now() - since).toFixed(1);
  if (isSignature(certificate, scheme, message, signature)) return `${scheme} in ${ms} ms`;
  throw new Error(
    'the signature does not verify with the certificate: the key server holds another key by this id.',
  );
}
