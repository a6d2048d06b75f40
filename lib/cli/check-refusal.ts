/**
 * Which side refused what, where `keyless-tls check` gets no answer: by the alert, if the key server has sent one and it has come (whom its policy
 * does not name, it sends none), and by what can be seen of the edge's certificate from here.
 */
import { X509Certificate } from 'node:crypto';
import { PERHAPS_REFUSED } from '../client/errors.ts';
import { KeylessError } from '../errors.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import { identityOf, policyNamesOf } from '../server/peer-identity.ts';
import { checkDates, checkUsage } from './check-parts.ts';

/** RFC 8446 §6.2, as OpenSSL names them. */
const ALERTS: Readonly<Record<string, string>> = {
  UNKNOWN_CA: 'it does not know the authority of our certificate (its --ca is another one)',
  CERTIFICATE_EXPIRED: 'our certificate has expired, by its clock',
  CERTIFICATE_REVOKED: 'our certificate was revoked',
  UNSUPPORTED_CERTIFICATE: 'our certificate is not for clients (extended key usage)',
  BAD_CERTIFICATE:
    'our certificate is broken, or its signature does not verify, or it is not valid yet, by its clock',
  CERTIFICATE_UNKNOWN: 'it does not accept our certificate, and does not say why',
  CERTIFICATE_REQUIRED: 'it has got no certificate of ours',
  ACCESS_DENIED: 'it does not serve us',
  DECRYPT_ERROR:
    'a signature of ours, or of our certificate, does not verify: the key is not that of the certificate',
  INTERNAL_ERROR:
    'something of its own keeps it from taking us, such as a revocation list that has expired or that it has not: its "refused" lines say what',
};

function alertOf(code: string): string | undefined {
  const name = /ALERT_(\w+)$/.exec(code)?.[1];
  return name === undefined ? undefined : ALERTS[name];
}

/** The certificates of a PEM file. */
function certificatesOf(pem: Buffer): X509Certificate[] {
  const blocks = pem
    .toString('latin1')
    .match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END [^-]*-----/gs);
  return (blocks ?? []).map((block) => new X509Certificate(block));
}

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Authorities of clients and of key servers may be two: it is a reason where there is no other. */
function issuerProblem(cert: Buffer, ca: Buffer): string | undefined {
  const authorities = certificatesOf(ca);
  const chain = certificatesOf(cert);
  const isIssued = (each: X509Certificate) =>
    authorities.some((authority) => each.checkIssued(authority) && each.verify(authority.publicKey));
  if (chain.some(isIssued)) return undefined;
  const issuer = escapePeerText(chain.at(-1)?.issuer ?? 'nobody');
  return `it was issued by "${issuer}", which is not in --ca. Look whether the --ca of the key server has it.`;
}

/** @returns '': nothing is wrong with it that can be seen from here */
function ownProblems(cert: Buffer, ca: Buffer): string {
  const edge = new X509Certificate(cert);
  const found = [
    problemOf(() => checkDates(edge, Date.now())),
    problemOf(() => checkUsage(edge)),
    issuerProblem(cert, ca),
  ];
  const problems = found.filter((problem) => problem !== undefined);
  return problems.length === 0 ? '' : `. Of our certificate: ${problems.join(' And ').replace(/\.$/, '')}`;
}

function guess(cert: Buffer, ca: Buffer): string {
  const said =
    'it ended the connection after the TLS handshake and said nothing, as a key server does that does not accept us';
  const problems = ownProblems(cert, ca);
  if (problems !== '') return said + problems;
  const us = escapePeerText(policyNamesOf(identityOf(new X509Certificate(cert))).join(', '));
  return (
    `${said}. Our certificate is valid now, for clients, and of the authority in --ca: so the policy does not name us (${us}), or we were ` +
    'revoked, or the --ca of the key server is another one. Its line "refused" says which'
  );
}

/** Of ours: what it was that could not be reached, below that nothing could. */
function innermost(error: Error): Error {
  return error.cause instanceof KeylessError ? innermost(error.cause) : error;
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code ?? '';

/**
 * @param error of connecting to a key server
 * @param edge PEM files of the edge
 * @returns what it says, and which side refused what
 */
export function explain(error: Error, { cert, ca }: { readonly cert: Buffer; readonly ca: Buffer }): string {
  const reason = innermost(error);
  const { message } = reason;
  if (codeOf(reason) === 'ERR_KEYLESS_KEY_SERVER_IDENTITY')
    return `This side refused the other: ${message}. Look at --ca, at --servername, and at this machine's clock.`;
  const alert = alertOf(codeOf(reason.cause));
  if (alert !== undefined)
    return `The key server refused this side: ${alert}${ownProblems(cert, ca)}. (${message})`;
  if (message.endsWith(PERHAPS_REFUSED)) return `The key server refused this side: ${guess(cert, ca)}.`;
  return message;
}
