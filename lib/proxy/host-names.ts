/** Which certificate answers to which name (RFC 6125 §6.4, RFC 9110 §4.3.5): exact names first, then wildcards of one label. */
import type { X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { alternativeNames } from '../protocol/alternative-names.ts';

const DNS_NAME = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;
const MAX_NAME = 255;

/** The DNS names of a certificate, in lower case; names that no client could ask for are left out. */
export function dnsNamesOf(certificate: X509Certificate): readonly string[] {
  const names = (alternativeNames(certificate) ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase());
  return [...new Set(names.filter((name) => DNS_NAME.test(name)))].sort();
}

/** A name of the DNS or an address, and a port, which may be empty (RFC 3986 §3.2.3). */
const AUTHORITY =
  /^(?:\[(?<six>[0-9a-f:.]+)\]|(?<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::(?<port>\d*))?$/i;
const MAX_PORT = 65_535;

/**
 * The host of an `authority` or `Host` (RFC 9110 §4.2.2, §7.2), in lower case; `undefined`: it is none. Whatever is not plainly
 * one is none: others could find another host in it (`user@host`, `host/`, `%68ost`).
 */
export function hostnameOf(authority: string | undefined): string | undefined {
  const { six, name, port } = AUTHORITY.exec(authority ?? '')?.groups ?? {};
  if (Number(port ?? 0) > MAX_PORT) return undefined;
  if (six !== undefined) return isIPv6(six) ? `[${six.toLowerCase()}]` : undefined;
  return name?.toLowerCase();
}

/** Values by name, each name once. */
export class HostNames<T> {
  readonly #byName = new Map<string, T>();

  /** @returns `false`: the name was taken before, and stays */
  add(name: string, value: T): boolean {
    if (this.#byName.has(name)) return false;
    this.#byName.set(name, value);
    return true;
  }

  /** @param name as a client sent it */
  find(name: string): T | undefined {
    if (name.length > MAX_NAME || name.includes('*')) return undefined;
    const lower = name.toLowerCase();
    const dot = lower.indexOf('.');
    return this.#byName.get(lower) ?? (dot > 0 ? this.#byName.get(`*${lower.slice(dot)}`) : undefined);
  }
}
