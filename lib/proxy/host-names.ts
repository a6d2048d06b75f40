/** Which certificate answers to which name (RFC 6125 §6.4, RFC 9110 §4.3.5): exact names first, then wildcards of one label. */
import type { X509Certificate } from 'node:crypto';
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

/** The host of an `authority` or `Host` (RFC 3986 §3.2), in lower case; `undefined`: it is none. */
export function hostnameOf(authority: string | undefined): string | undefined {
  if (authority === undefined || authority.length > MAX_NAME) return undefined;
  const name = /^(?<name>[a-z0-9._-]+)(?::\d{1,5})?$/i.exec(authority)?.groups?.name;
  return name?.toLowerCase().replace(/\.$/, '');
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
