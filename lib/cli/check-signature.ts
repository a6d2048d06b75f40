/**
 * The last question of `keyless-tls check`: does the key of a certificate sign, and for which versions of TLS? A token or an agent may
 * not have every kind of signature, and a policy may leave a version out.
 */
import { constants, type KeyObject, randomBytes, verify, type X509Certificate } from 'node:crypto';
import { isSignatureScheme } from '../engine/schemes.ts';
import { KeylessError } from '../errors.ts';
import type { KeyServers } from '../keys/key-servers.ts';
import type { SignatureScheme, SignOperation } from '../keys/private-key.ts';
import { alternativeNames } from '../protocol/alternative-names.ts';
import { subjectKeyId } from '../protocol/key-id.ts';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import { keyKindOf } from '../signing/key-kind.ts';

interface Trial {
  readonly version: 'TLS 1.3' | 'TLS 1.2';
  readonly scheme: SignatureScheme;
  readonly message: Buffer;
}

/** An RSA-PSS key may be for one hash alone (RFC 4055 §3.1). */
function pssSchemeOf(key: KeyObject): SignatureScheme {
  const scheme = `rsa_pss_pss_${key.asymmetricKeyDetails?.hashAlgorithm}`;
  return isSignatureScheme(scheme) ? scheme : 'rsa_pss_pss_sha256';
}

/** One that TLS 1.3 has for the key. */
function schemeOf({ publicKey }: X509Certificate): SignatureScheme {
  const { type, curve } = keyKindOf(publicKey);
  if (type === 'rsa') return 'rsa_pss_rsae_sha256';
  if (type === 'rsa-pss') return pssSchemeOf(publicKey);
  if (type !== 'ec') return type;
  if (curve === 'prime256v1') return 'ecdsa_secp256r1_sha256';
  return curve === 'secp384r1' ? 'ecdsa_secp384r1_sha384' : 'ecdsa_secp521r1_sha512';
}

/** RFC 8446 §4.4.3, of a handshake that never was: nobody has such a transcript hash. */
function certificateVerify(): Buffer {
  const context = 'TLS 1.3, server CertificateVerify\0';
  return Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from(context, 'latin1'), randomBytes(32)]);
}

/** RFC 8422 §5.4 with X25519, likewise: randoms and a point that nobody has sent. */
function keyExchange(): Buffer {
  return Buffer.concat([randomBytes(64), Buffer.of(3, 0, 29, 32), randomBytes(32)]);
}

function trialsOf(certificate: X509Certificate): readonly Trial[] {
  const scheme = schemeOf(certificate);
  // Every client of TLS 1.2 has it; PSS, not every one.
  const older = scheme === 'rsa_pss_rsae_sha256' ? 'rsa_pkcs1_sha256' : scheme;
  return [
    { version: 'TLS 1.3', scheme, message: certificateVerify() },
    { version: 'TLS 1.2', scheme: older, message: keyExchange() },
  ];
}

function hostOf(certificate: X509Certificate): string | undefined {
  return /(?:^|, )DNS:([\w.*-]+)/.exec(alternativeNames(certificate) ?? '')?.[1]?.replace('*', 'www');
}

function isSignature(certificate: X509Certificate, { scheme, message }: Trial, signature: Uint8Array) {
  const { algorithm, hash } = SIGNING_METHODS[scheme];
  const key = certificate.publicKey;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return verify(hash, message, algorithm === 'rsa-pss' ? { key, ...pss } : key, signature);
}

/** A policy on names may have another one of the certificate's. */
function withName(error: NodeJS.ErrnoException, servername: string | undefined): Error {
  const { code, message } = error;
  if (code !== 'ERR_KEYLESS_KEY_NOT_FOUND') return error;
  const name = servername === undefined ? 'without a server name' : `for the server name ${servername}`;
  return Object.assign(new Error(`${message.replace(/\.$/, '')}; it was asked ${name}.`), { code });
}

async function perform(
  trial: Trial,
  keys: KeyServers,
  certificate: X509Certificate,
  timeoutMs: number,
): Promise<string> {
  const { version, scheme, message } = trial;
  const since = performance.now();
  const operation: SignOperation = {
    kind: 'sign',
    scheme,
    message,
    keyId: subjectKeyId(certificate.publicKey.export({ type: 'spki', format: 'der' })),
    certificate: certificate.raw,
    role: 'server',
    servername: hostOf(certificate),
    peerAddress: undefined,
    localAddress: undefined,
    deadline: since + timeoutMs,
    // A time-out of the signal's would be a client that left: nobody is blamed for one.
    signal: new AbortController().signal,
  };
  const signature = await keys.sign(operation).catch((error) => {
    throw withName(error as NodeJS.ErrnoException, operation.servername);
  });
  const ms = (performance.now() - since).toFixed(1);
  if (isSignature(certificate, trial, signature)) return `${version} with ${scheme} in ${ms} ms`;
  throw new KeylessError(
    'ERR_KEYLESS_BAD_SIGNATURE',
    'the signature does not verify with the certificate: the key server holds another key by this id.',
  );
}

/** What an edge has to offer where a key signs for one version only. */
function advice({ version, scheme }: Trial): string {
  if (version === 'TLS 1.3') return "give it minVersion: 'TLSv1.3'";
  return `give it maxVersion: 'TLSv1.2', or connectKeyServers schemes: ['${scheme}']`;
}

/**
 * What key servers say or show of what they do not do, with this key, for this edge: it stays so. Of anything else, another moment
 * knows.
 */
const CANNOT: readonly unknown[] = [
  'ERR_KEYLESS_KEY_SERVER_CRYPTO',
  'ERR_KEYLESS_KEY_NOT_FOUND',
  'ERR_KEYLESS_REFUSED',
  'ERR_KEYLESS_KEY_SERVER_UNEXPECTED',
  'ERR_KEYLESS_BAD_SIGNATURE',
];

/** Of two that failed, why the one did whose key could: the other one's reason is no news where a holder is away. */
function moreThanCannot(results: readonly PromiseSettledResult<string>[]): unknown {
  const failed = results as readonly PromiseRejectedResult[];
  return failed.find(({ reason }) => !CANNOT.includes((reason as NodeJS.ErrnoException).code))?.reason;
}

/** @param well what it signs for */
function foundOut(well: string, { version }: Trial, can: Trial, reason: NodeJS.ErrnoException): string {
  const { code, message } = reason;
  if (CANNOT.includes(code)) {
    return `${well}, not for ${version}: ${message} An edge must not offer that: ${advice(can)}.`;
  }
  throw Object.assign(new Error(`${well}; whether for ${version}, it did not say: ${message}`), { code });
}

/**
 * Has the key of the certificate sign, for TLS 1.3 and 1.2, and verifies it.
 *
 * @throws where it signs for none, with why not for TLS 1.3, or for 1.2 where only that may pass; and where it did not say whether it signs for both
 */
export async function checkSignature(
  keys: KeyServers,
  certificate: X509Certificate,
  timeoutMs: number,
): Promise<string> {
  const trials = trialsOf(certificate);
  const results = await Promise.allSettled(
    trials.map((trial) => perform(trial, keys, certificate, timeoutMs)),
  );
  const well = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const failed = results.findIndex(({ status }) => status === 'rejected');
  if (failed < 0) return well.join(', ');
  const { reason } = results[failed] as PromiseRejectedResult;
  if (well.length === 0) throw moreThanCannot(results) ?? reason;
  return foundOut(well[0]!, trials[failed]!, trials[1 - failed]!, reason);
}
