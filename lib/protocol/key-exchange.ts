/**
 * The groups by which the ends of a TLS connection agree on its secret (RFC 8446 §4.2.7): those that cost a server little.
 * OpenSSL's default has FFDHE, too (RFC 7919), of which one of 8,192 bits costs a server 90 ms for each ClientHello of a
 * stranger, who has to compute nothing (CVE-2002-20001).
 */
import tls from 'node:tls';

/** The best first, as SSL_CTX_set1_groups_list(3) takes them. */
const LISTS: readonly string[] = [
  // OpenSSL 3.5 and later: what it has of them (?), with a key share of both kinds of client (*).
  '?*X25519MLKEM768:?*X25519:P-256:P-384',
  'X25519:P-256:P-384',
  // Where OpenSSL has the curves of FIPS 186 only.
  'P-256:P-384',
];

function isTaken(ecdhCurve: string): boolean {
  try {
    tls.createSecureContext({ ecdhCurve });
    return true;
  } catch {
    return false;
  }
}

let known: string | undefined;

/** `ecdhCurve` of node:tls for a server: the first list that this process's OpenSSL takes; tried once. */
export function cheapGroups(): string {
  known ??= LISTS.find(isTaken) ?? LISTS.at(-1)!;
  return known;
}

/** Likewise for a client of servers that may be others' than ours: those of the field take P-521, too. */
export function groupsOfEdge(): string {
  return `${cheapGroups()}:P-521`;
}
