/**
 * Names of clients, in the one spelling in which they are compared: a name that is revoked is revoked however it is written.
 *
 * What of a name has no case is made lower-case (RFC 5280 §7.2: DNS names; §7.4 with RFC 3986 §6.2.2.1: scheme and host of
 * a URI; §7.5: the domain of a mail address), and an IP address is its bytes. Everything else counts as it is written.
 */
import { addressBytes } from '../protocol/ip-address.ts';

/** Certificates have their names in ASCII (RFC 5280 §4.2.1.6): one that is written otherwise would be nobody's. */
export const NAME: RegExp = /^(DNS:|URI:|IP Address:|email:)[!-~]+$/;
/** 32 bytes in base64: of the last digit, two bits are 0. */
export const PIN: RegExp = /^sha256\/[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
export const FINGERPRINT: RegExp = /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/;

/** Whether it can stand under `revoked` of a policy. */
export function isIdentity(text: string): boolean {
  return [NAME, PIN, FINGERPRINT].some((form) => form.test(text));
}

/** `edge.internal.` is `edge.internal`: a certificate's name is absolute anyway. */
function dnsName(name: string): string {
  return name.toLowerCase().replace(/(?<=[^.])\.$/, '');
}

/** Of a percent-encoded byte the case means nothing, and upper case is usual. */
function uri(text: string): string {
  return text
    .replace(/^[a-z][a-z0-9+.-]*:/i, (scheme) => scheme.toLowerCase())
    .replace(
      /^([^:]*:\/\/(?:[^/?#@]*@)?)([^/?#]*)/,
      (_, before: string, host: string) => before + host.toLowerCase(),
    )
    .replace(/%[0-9a-f]{2}/gi, (byte) => byte.toUpperCase());
}

function mailAddress(text: string): string {
  const at = text.lastIndexOf('@') + 1;
  return text.slice(0, at) + text.slice(at).toLowerCase();
}

function ipAddress(text: string): string {
  return addressBytes(text)?.toString('hex') ?? text;
}

const SPELLINGS: readonly (readonly [prefix: string, spell: (name: string) => string])[] = [
  ['DNS:', dnsName],
  ['URI:', uri],
  ['email:', mailAddress],
  ['IP Address:', ipAddress],
];

/**
 * @param identity a name as policies have it (`DNS:…`, `URI:…`), a pin or a fingerprint
 * @returns the same for all that are equal; what is no name stays as it is
 */
export function comparableIdentity(identity: string): string {
  for (const [prefix, spell] of SPELLINGS) {
    if (identity.startsWith(prefix)) return prefix + spell(identity.slice(prefix.length));
  }
  return identity;
}
