/** SecureContexts with keyless keys: made by Node, given their keys by the addon. */
import { X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import { KeylessError } from '../errors.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import { addon, KeyProblem } from './addon.ts';
import { isOfACopy, type Recipe, tellEveryCopy } from './copies.ts';
import { checkPrivateKey, type KeyEntry, type KeyOwner, makeKeyEntry, rememberKey } from './key-entry.ts';
import { readKeyOption, withKey } from './key-option.ts';
import { type NativeKey, withNativeKeys } from './native-keys.ts';
import type { ContextMaker } from './patches.ts';
import { DEFAULT_SIGALGS, limitSigalgs, providerLimits } from './schemes.ts';
import { holdsPrivateKey, isPrivateKey, SealedKeys } from './sealed-keys.ts';

/** Which signatures handshakes of a context choose from, because its keys can make no others. */
export interface ContextLimits {
  /** Its own signatures, as OpenSSL's list of signature algorithms; `undefined`: no limit. */
  readonly sigalgs: string | undefined;
  /** What peers may sign with, in the same form. */
  readonly peerSigalgs: string;
}

const NO_LIMITS: ContextLimits = { sigalgs: undefined, peerSigalgs: DEFAULT_SIGALGS };

/** What the hook must know of a context. */
export interface KeylessContext {
  readonly entries: readonly KeyEntry[];
  readonly limits: ContextLimits;
  /** By which the addon knows OpenSSL's context; 0: it does not. */
  readonly number: number;
  /** It was made with a `ca`. */
  readonly ownAuthorities: boolean;
}

/** By Node's native context object, which is what SNICallback, addContext and TLSSocket pass around. */
const contexts = new WeakMap<object, KeylessContext>();

function remember(native: object, context: KeylessContext, recipe?: Recipe): void {
  contexts.set(native, context);
  tellEveryCopy(native, recipe);
}

/** The keyless side of a native context; `undefined`: its keys are all Node's, or another copy of this package has them. */
export function keylessContext(native: unknown): KeylessContext | undefined {
  return typeof native === 'object' && native !== null ? contexts.get(native) : undefined;
}

/** Whether another copy of this package sees to the handshakes of a native context. */
export function isAnotherCopys(native: unknown): boolean {
  return isOfACopy(native) && !contexts.has(native as object);
}

/** A context that Node signs for itself, where a keyless one may yet take its place. */
export const NODE_CONTEXT: KeylessContext = {
  entries: [],
  limits: NO_LIMITS,
  number: 0,
  ownAuthorities: false,
};

type ContextOptions = tls.SecureContextOptions & { readonly key?: unknown };

/** @param cert the option */
function leafCertificates(cert: unknown): X509Certificate[] {
  const list = Array.isArray(cert) ? cert : [cert];
  return list.filter(Boolean).map((pem: string | Buffer) => new X509Certificate(pem));
}

function sameKey(certificate: X509Certificate, spki: Uint8Array): boolean {
  return certificate.publicKey.export({ type: 'spki', format: 'der' }).equals(spki);
}

/** Node pairs keys and certificates by content; what has no content to compare is paired by its place. */
function keyFor(
  certificate: X509Certificate,
  index: number,
  keys: readonly unknown[],
): PrivateKey | undefined {
  const known = keys.find((key) => isPrivateKey(key) && key.publicKey && sameKey(certificate, key.publicKey));
  if (known !== undefined) return known as PrivateKey;
  const candidate = keys.length === 1 ? keys[0] : keys[index];
  return isPrivateKey(candidate) && candidate.publicKey === undefined ? candidate : undefined;
}

function describe(certificate: KeyOwner): string {
  if (!(certificate instanceof X509Certificate)) return 'a key without a certificate';
  // Its names may all be in the extension: Node 20 has no subject for that.
  const subject = certificate.subject ?? '';
  return `the certificate "${subject.replaceAll('\n', ', ')}"`;
}

function pairs(
  keys: readonly unknown[],
  certificates: readonly X509Certificate[],
): [PrivateKey, X509Certificate][] {
  const found: [PrivateKey, X509Certificate][] = [];
  certificates.forEach((certificate, index) => {
    const key = keyFor(certificate, index, keys);
    if (key !== undefined) found.push([key, certificate]);
  });
  found.sort(([one], [other]) => keys.indexOf(one) - keys.indexOf(other));
  const unused = keys.filter((key) => isPrivateKey(key) && !found.some(([used]) => used === key));
  if (unused.length === 0) return found;
  throw new KeylessError(
    'ERR_KEYLESS_KEY_MISMATCH',
    'A PrivateKey or stub in "key" belongs to none of the certificates in "cert". Give each the certificate that was ' +
      'issued for its key, in the same order.',
  );
}

function problem(code: number, certificate: KeyOwner): KeylessError {
  if (code === KeyProblem.UNSUPPORTED_KEY) {
    return new KeylessError(
      'ERR_KEYLESS_UNSUPPORTED_KEY',
      `The key of ${describe(certificate)} is of the type ${String(certificate.publicKey.asymmetricKeyType)}. ` +
        'Keyless keys are RSA, RSA-PSS, EC (P-256, P-384, P-521), Ed25519 or Ed448.',
    );
  }
  return new KeylessError(
    'ERR_KEYLESS_KEY_MISMATCH',
    `OpenSSL did not take a key for ${describe(certificate)}; is it the first certificate of its chain?`,
  );
}

const SUPPORTED_TYPES: readonly unknown[] = ['rsa', 'rsa-pss', 'ec', 'ed25519', 'ed448'];

/**
 * @param isLast of all keys: OpenSSL's current certificate is that of the last one, which is what Node takes of a context
 *   that is chosen by name
 */
function giveKey(key: PrivateKey, certificate: KeyOwner, isLast: boolean): KeyEntry {
  if (!SUPPORTED_TYPES.includes(certificate.publicKey.asymmetricKeyType)) {
    throw problem(KeyProblem.UNSUPPORTED_KEY, certificate);
  }
  const checked = makeKeyEntry(key, certificate);
  const { digests, pss } = providerLimits(checked.schemes);
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  const number = addon().useKey(spki, digests, pss, key.decrypt !== undefined, isLast);
  if (number <= 0) throw problem(number, certificate);
  const entry = { ...checked, number };
  rememberKey(entry);
  return entry;
}

/**
 * Gives the last SSL_CTX made on this thread its keyless keys.
 *
 * @param lastIsNative Node has loaded its own keys, and would have loaded one of them last
 * @throws KeylessError ERR_KEYLESS_KEY_MISMATCH, ERR_KEYLESS_UNSUPPORTED_KEY, ERR_KEYLESS_INVALID_ARGUMENT
 */
export function giveKeys(
  keys: readonly unknown[],
  certificates: readonly X509Certificate[],
  lastIsNative: boolean,
): KeyEntry[] {
  keys.filter(isPrivateKey).forEach(checkPrivateKey);
  return pairs(keys, certificates).map(([key, certificate]) => giveKey(key, certificate, !lastIsNative));
}

/** A limit holds for the whole context, so it is made of what all its keyless keys can; native keys know no limit. */
function ownSigalgs(entries: readonly KeyEntry[], list: string | undefined): string | undefined {
  if (entries.some(({ schemes }) => schemes === undefined)) return undefined;
  const sigalgs = limitSigalgs(
    entries.flatMap(({ schemes }) => schemes ?? []),
    list,
  );
  if (sigalgs !== '') return sigalgs;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"sigalgs" (${list}) has none of the "schemes" that the PrivateKey can sign with, so no handshake could succeed. ` +
      'Add one of them to "sigalgs", or leave one of both out.',
  );
}

/**
 * @param sigalgs the option
 * @param onlyKeyless the context has no keys of Node's
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT: `sigalgs` and `schemes` have nothing in common
 */
export function contextLimits(
  entries: readonly KeyEntry[],
  sigalgs: string | undefined,
  onlyKeyless: boolean,
): ContextLimits {
  return {
    sigalgs: onlyKeyless ? ownSigalgs(entries, sigalgs) : undefined,
    peerSigalgs: sigalgs ?? DEFAULT_SIGALGS,
  };
}

/**
 * Takes a private key of Node's own, PKCS#8, which is wiped afterwards.
 *
 * @returns what signs in its place; `undefined`: the key stays where it is
 */
export type KeyTaker = (owner: KeyOwner, pkcs8: Buffer) => PrivateKey | undefined;

let takeKey: KeyTaker | undefined;

/** From here on, every private key that Node's contexts are made with goes to `taker`. */
export function moveNativeKeys(taker: KeyTaker): void {
  takeKey = taker;
}

function replaceKey(taker: KeyTaker, { owner, pkcs8, becomesCurrent }: NativeKey): KeyEntry | undefined {
  const key = taker(owner, pkcs8);
  return key && giveKey(key, owner, becomesCurrent);
}

type NodeOptions = tls.SecureContextOptions | undefined;
type Make = typeof tls.createSecureContext;

/** A context that Node has made, with its own keys only. */
interface MadeByNode {
  readonly context: tls.SecureContext;
  /** Of its own keys, those that are somebody else's now. */
  readonly moved: readonly KeyEntry[];
}

function makeAndMove(options: tls.SecureContextOptions, make: Make, taker: KeyTaker): MadeByNode {
  addon().beginContext();
  const context = make(options);
  const moved = withNativeKeys(options, (keys) => keys.map((key) => replaceKey(taker, key)));
  return { context, moved: moved.filter((entry) => entry !== undefined) };
}

/**
 * First of all: what is wrong with keys and certificates is said as natively, and whatever is said afterwards, Node has no key
 * any more.
 *
 * @param make calls Node with the options it understands
 */
function makeByNode(options: NodeOptions, make: Make): MadeByNode {
  const taker = takeKey;
  // Node and OpenSSL free texts and DER of keys without wiping them.
  if (taker !== undefined && (options?.key || options?.pfx))
    return addon().wipeFreed(() => makeAndMove(options, make, taker));
  addon().beginContext();
  return { context: make(options), moved: [] };
}

function makeNodes(options: NodeOptions, make: Make): tls.SecureContext {
  const { context, moved } = makeByNode(options, make);
  if (moved.length === 0) return context;
  const ownAuthorities = Boolean(options?.ca);
  const number = addon().nameContext();
  remember(context.context, { entries: moved, limits: NO_LIMITS, number, ownAuthorities });
  return context;
}

/**
 * Gives the SSL_CTX that `make` makes its keyless keys.
 *
 * @param make as of {@link makeByNode}
 * @throws KeylessError ERR_KEYLESS_NO_CERTIFICATE, ERR_KEYLESS_KEY_MISMATCH, ERR_KEYLESS_UNSUPPORTED_KEY,
 *   ERR_KEYLESS_INVALID_ARGUMENT, ERR_KEYLESS_PLATFORM, and whatever Node throws
 */
function makeContext(options: ContextOptions, keys: readonly unknown[], make: Make): tls.SecureContext {
  const native = keys.filter((key) => !isPrivateKey(key));
  const { context, moved } = makeByNode(
    withKey(options, native.length === 0 ? undefined : native) as tls.SecureContextOptions,
    make,
  );
  const certificates = leafCertificates(options.cert);
  if (certificates.length === 0) {
    throw new KeylessError(
      'ERR_KEYLESS_NO_CERTIFICATE',
      'A PrivateKey in "key" needs its certificate (PEM) in "cert": the certificate says which key is meant.',
    );
  }
  // Node loads a pfx after the keys.
  const hasPfx = Boolean(options.pfx);
  const given = giveKeys(keys, certificates, hasPfx || !isPrivateKey(keys.at(-1)));
  const onlyKeyless = native.length === 0 && !hasPfx;
  const limits = contextLimits(given, options.sigalgs || undefined, onlyKeyless);
  const { cert, ca, crl, allowPartialTrustChain } = options;
  const recipe = { cert, ca, crl, allowPartialTrustChain, key: keys as readonly PrivateKey[] };
  const number = addon().nameContext();
  const entries = [...moved, ...given];
  const ownAuthorities = Boolean(ca);
  remember(context.context, { entries, limits, number, ownAuthorities }, onlyKeyless ? recipe : undefined);
  return context;
}

/** @returns what is to be taken in the place of a `key` option: itself, or with PrivateKey objects in it */
export type KeyReader = (key: unknown) => unknown;

let readKey: KeyReader | undefined;

/** From here on, every `key` option goes through `reader` first. */
export function replaceKeys(reader: KeyReader): void {
  readKey = reader;
}

/** The keys of a context that is to be keyless; `undefined`: it is Node's. */
function keylessKeys(key: unknown): readonly unknown[] | undefined {
  if (key instanceof SealedKeys) return key.keys;
  const read = readKey?.(key);
  if (!holdsPrivateKey(read)) return undefined;
  return Array.isArray(read) ? read : [read];
}

const REFUSAL =
  'A PrivateKey object was given to node:tls, which cannot use it. Call createServer, connect or ' +
  'createSecureContext of "keyless-tls" (or of "keyless-tls/https", "keyless-tls/http2") with the same options.';

/**
 * Stands behind tls.createSecureContext.
 *
 * @param beforeEach is called before a context is made that may be keyless
 */
export function contextMaker(beforeEach: () => void): ContextMaker {
  return (given, original) => {
    const { key, options } = readKeyOption(given);
    if (!(key instanceof SealedKeys) && holdsPrivateKey(key))
      throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', REFUSAL);
    const keys = keylessKeys(key);
    if (keys === undefined && takeKey === undefined) return original(options);
    beforeEach();
    if (keys === undefined) return makeNodes(options, original);
    return makeContext(options as ContextOptions, keys, original);
  };
}
