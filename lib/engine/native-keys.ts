/**
 * Private keys of Node's own in the context that was made last, read out of it. Whoever takes them puts others in their places;
 * no copy of any outlives that.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import { addon } from './addon.ts';
import type { KeyOwner } from './key-entry.ts';

/** A private key of Node's own in a context. */
export interface NativeKey {
  readonly owner: KeyOwner;
  readonly pkcs8: Buffer;
  /** It, or its certificate, is what OpenSSL has as the current one when all keys that come before it are replaced. */
  readonly becomesCurrent: boolean;
}

/** @param copies takes all that is a copy of a key */
function keysWithCertificates(copies: Buffer[]): NativeKey[] {
  const found = addon().nativeKeys();
  copies.push(...found.filter((_, index) => index % 2 === 1));
  return found.flatMap((der, index) =>
    index % 2 === 0
      ? [{ owner: new X509Certificate(der), pkcs8: found[index + 1]!, becomesCurrent: true }]
      : [],
  );
}

interface KeyText {
  readonly pem: unknown;
  readonly passphrase: unknown;
  /** What Node loaded last is current. */
  readonly isLast: boolean;
}

/** What Node has read as a key. */
function givenIn({ key }: tls.SecureContextOptions): unknown[] {
  const list: unknown[] = Array.isArray(key) ? key : [key];
  return list.filter(Boolean);
}

/** As Node reads them; it has taken them all. */
function textsOf(options: tls.SecureContextOptions): KeyText[] {
  const { passphrase, pfx } = options;
  return givenIn(options).map((each, index, { length }) => {
    const { pem = each, passphrase: own = passphrase } = each as { pem?: unknown; passphrase?: unknown };
    return { pem, passphrase: own, isLast: !pfx && index === length - 1 };
  });
}

/** @param copies as of {@link keysWithCertificates} */
function open({ pem, passphrase, isLast }: KeyText, copies: Buffer[]): NativeKey | undefined {
  const text = ArrayBuffer.isView(pem)
    ? Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength)
    : Buffer.from(String(pem));
  const [spki, pkcs8] = addon().keyOfPem(text, passphrase === undefined ? undefined : String(passphrase));
  if (!ArrayBuffer.isView(pem)) text.fill(0);
  if (spki === undefined || pkcs8 === undefined) return undefined;
  copies.push(pkcs8);
  const publicKey = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  return { owner: { publicKey, raw: Buffer.alloc(0) }, pkcs8, becomesCurrent: isLast };
}

/**
 * OpenSSL has room for one key of each type, also where no certificate is (yet), and does not tell of those.
 *
 * @param taken the types of the keys with certificates; @param copies as of {@link keysWithCertificates}
 */
function keysWithout(texts: readonly KeyText[], taken: ReadonlySet<unknown>, copies: Buffer[]): NativeKey[] {
  const found = new Map<unknown, NativeKey>();
  for (const text of texts) {
    const key = open(text, copies);
    const type = key?.owner.publicKey.asymmetricKeyType;
    if (key === undefined || taken.has(type)) continue;
    found.delete(type);
    found.set(type, key);
  }
  return [...found.values()];
}

/** How many keys Node was given; their texts are not read for it. */
function countOf(options: tls.SecureContextOptions): number {
  const { length } = givenIn(options);
  const { pfx } = options;
  if (!pfx) return length;
  return length + (Array.isArray(pfx) ? pfx.length : 1);
}

function allKeys(options: tls.SecureContextOptions, copies: Buffer[]): NativeKey[] {
  const certified = keysWithCertificates(copies);
  if (countOf(options) <= certified.length) return certified;
  const types = new Set<unknown>(certified.map(({ owner }) => owner.publicKey.asymmetricKeyType));
  return [...certified, ...keysWithout(textsOf(options), types, copies)];
}

/**
 * What `work` makes of the keys of Node's own in the last context. Whoever throws meanwhile, no copy of a key is left.
 *
 * @param options of which Node has made it
 */
export function withNativeKeys<T>(
  options: tls.SecureContextOptions,
  work: (keys: readonly NativeKey[]) => T,
): T {
  const copies: Buffer[] = [];
  try {
    return work(allKeys(options, copies));
  } finally {
    for (const copy of copies) copy.fill(0);
  }
}
