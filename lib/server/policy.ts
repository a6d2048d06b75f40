/** What a key server does at all, for anybody: the first gate, before any key is looked for. */
import { isDigestOf } from '../engine/message-digest.ts';
import { KeylessError } from '../errors.ts';
import { fitsContext, SIGNING_CONTEXTS } from '../protocol/handshake-message.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import { asKeyId } from './key-names.ts';
import type { Refusal } from './refusals.ts';
import { isLegacy } from './signed-digests.ts';

export interface PolicyOptions {
  /**
   * What is signed; default `tls13-server` and `tls12-server`. `tls12-client` cannot be recognised: with it, any message is
   * signed. `digest`: bare digests, blindly, for edges that send no message.
   */
  readonly contexts?: readonly AllowedContext[] | undefined;
  /**
   * The keys that decrypt the premaster of RSA key exchange (48 bytes, never raw) although they sign: key ids (40 hexadecimal
   * digits) or labels, each of one key that decrypts, now or later. Default none.
   */
  readonly allowDecrypt?: readonly string[] | 'every-key' | undefined;
  /** Hand out raw blocks of keys that decrypt to edges in the field (never to our own). It is a decryption oracle. Default false. */
  readonly allowRawDecrypt?: boolean | undefined;
  /** Sign with SHA-1, or MD5 and SHA-1 (TLS 1.0 and 1.1). Default false. */
  readonly allowLegacyHashes?: boolean | undefined;
}

export interface Policy {
  readonly contexts: ReadonlySet<AllowedContext>;
  readonly allowDecrypt: ReadonlySet<string> | 'every-key';
  readonly allowRawDecrypt: boolean;
  readonly allowLegacyHashes: boolean;
}

const ALLOWED_CONTEXTS = [...SIGNING_CONTEXTS, 'digest'] as const;
/** What may be signed: messages of a form, or digests of nobody knows what. */
export type AllowedContext = (typeof ALLOWED_CONTEXTS)[number];

const DEFAULT_CONTEXTS: readonly AllowedContext[] = ['tls13-server', 'tls12-server'];

function contextsOf(contexts: readonly AllowedContext[]): ReadonlySet<AllowedContext> {
  const unknown = contexts.find((context) => !ALLOWED_CONTEXTS.includes(context));
  if (unknown === undefined) return new Set(contexts);
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"contexts" knows ${ALLOWED_CONTEXTS.join(', ')}, not ${JSON.stringify(unknown)}.`,
  );
}

function nameOf(key: string): string {
  return asKeyId(key) ?? key;
}

function namesOf(keys: readonly string[] | 'every-key'): Policy['allowDecrypt'] {
  if (keys === 'every-key') return keys;
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return new Set(keys.map(nameOf));
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    '"allowDecrypt" must be a list of key ids or labels, or "every-key".',
  );
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT for a context that does not exist, or what is no list of names */
export function policyOf(options: PolicyOptions): Policy {
  return {
    contexts: contextsOf(options.contexts ?? DEFAULT_CONTEXTS),
    allowDecrypt: namesOf(options.allowDecrypt ?? []),
    allowRawDecrypt: options.allowRawDecrypt === true,
    allowLegacyHashes: options.allowLegacyHashes === true,
  };
}

/** The message is what the digest says, and something that is signed with some key. */
function refuseMessage(
  contexts: ReadonlySet<AllowedContext>,
  message: Uint8Array,
  { method, digest, context }: SignRequest,
): Refusal | undefined {
  if (method.hash !== undefined && !isDigestOf(method.hash, message, digest!)) return 'digest-mismatch';
  if (contexts.has('tls12-client')) return undefined;
  // It must look like a key that is not there: whoever tries learns nothing about the keys.
  if (context === undefined) return 'not-a-handshake';
  return contexts.has(context) && fitsContext(context, method) ? undefined : 'context-not-allowed';
}

/** @param contexts of any key that the client may use. @returns why it is not signed with any; `undefined`: it may go on */
export function refuseSign(
  { allowLegacyHashes }: Policy,
  contexts: ReadonlySet<AllowedContext>,
  request: SignRequest,
): Refusal | undefined {
  if (isLegacy(request.method) && !allowLegacyHashes) return 'legacy-hash';
  if (request.message !== undefined) return refuseMessage(contexts, request.message, request);
  return contexts.has('digest') ? undefined : 'blind-digest';
}
