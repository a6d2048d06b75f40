/**
 * The certificates of a `ca` option, whatever form it has: in one text or several, in whatever order, with or without comments. Of two
 * options with the same, Node makes the same store.
 *
 * OpenSSL reads a text up to the first block that is damaged, and leaves out in silence what does not begin a line: so whatever is
 * not plainly a certificate makes an option equal to its like alone.
 */
import { X509Certificate } from 'node:crypto';

const BLOCK =
  /(?<![^\n])-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----(?=\r?\n|$)/g;

function textOf(value: unknown): string {
  if (!ArrayBuffer.isView(value)) return String(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
}

function fingerprintsOf(text: string): string[] | undefined {
  if (text.replace(BLOCK, '').includes('-----')) return undefined;
  try {
    return [...text.matchAll(BLOCK)].map(([block]) => new X509Certificate(block).fingerprint256);
  } catch {
    return undefined;
  }
}

/** @returns the same for options with the same certificates */
export function authoritiesOf(ca: unknown): unknown {
  if (!ca) return 'those of Node';
  const list: readonly unknown[] = Array.isArray(ca) ? ca : [ca];
  const fingerprints = new Set<string>();
  for (const each of list) {
    const found = fingerprintsOf(textOf(each));
    if (found === undefined) return ['unread', ca];
    for (const fingerprint of found) fingerprints.add(fingerprint);
  }
  return [...fingerprints].sort();
}
