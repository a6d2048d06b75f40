/** What a key server does at all, for anybody: the first gate, before any key is looked for. */
import { KeylessError } from '../errors.ts';
import { digestOf } from '../protocol/digests.ts';
import {
  fitsContext,
  handshakeContext,
  SIGNING_CONTEXTS,
  type SigningContext,
} from '../protocol/handshake-message.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import type { SigningMethod } from '../protocol/schemes.ts';
import type { Refusal } from './refusals.ts';

export interface PolicyOptions {
  /**
   * Messages that are signed; default `tls13-server` and `tls12-server`. `tls12-client` cannot be recognised: with it, any
   * message is signed.
   */
  readonly contexts?: readonly SigningContext[] | undefined;
  /** Sign bare digests, blindly, for edges that send no message: RSA PKCS#1 v1.5 only. Default false. */
  readonly allowDigest?: boolean | undefined;
  /** Decrypt the premaster of RSA key exchange: 48 bytes, never raw. Default false. */
  readonly allowDecrypt?: boolean | undefined;
  /** Hand out raw RSA blocks to edges in the field (never to our own). It is a decryption oracle. Default false. */
  readonly allowRawDecrypt?: boolean | undefined;
  /** Sign with SHA-1, or MD5 and SHA-1 (TLS 1.0 and 1.1). Default false. */
  readonly allowLegacyHashes?: boolean | undefined;
}

export interface Policy {
  readonly contexts: ReadonlySet<SigningContext>;
  readonly allowDigest: boolean;
  readonly allowDecrypt: boolean;
  readonly allowRawDecrypt: boolean;
  readonly allowLegacyHashes: boolean;
}

const DEFAULT_CONTEXTS: readonly SigningContext[] = ['tls13-server', 'tls12-server'];

function contextsOf(contexts: readonly SigningContext[]): ReadonlySet<SigningContext> {
  const unknown = contexts.find((context) => !SIGNING_CONTEXTS.includes(context));
  if (unknown === undefined) return new Set(contexts);
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"contexts" knows ${SIGNING_CONTEXTS.join(', ')}, not ${JSON.stringify(unknown)}.`,
  );
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT for a context that does not exist */
export function policyOf(options: PolicyOptions): Policy {
  return {
    contexts: contextsOf(options.contexts ?? DEFAULT_CONTEXTS),
    allowDigest: options.allowDigest === true,
    allowDecrypt: options.allowDecrypt === true,
    allowRawDecrypt: options.allowRawDecrypt === true,
    allowLegacyHashes: options.allowLegacyHashes === true,
  };
}

function isLegacy({ hash }: SigningMethod): boolean {
  return hash === 'md5-sha1' || hash === 'sha1';
}

/** The message is what the digest says, and something that may be signed. */
function refuseMessage(
  policy: Policy,
  message: Uint8Array,
  { method, digest }: SignRequest,
): Refusal | undefined {
  if (method.hash !== undefined && Buffer.compare(digestOf(method.hash, message), digest!) !== 0) {
    return 'digest-mismatch';
  }
  if (policy.contexts.has('tls12-client')) return undefined;
  const context = handshakeContext(message);
  // It must look like a key that is not there: whoever tries learns nothing about the keys.
  if (context === undefined) return 'not-a-handshake';
  return policy.contexts.has(context) && fitsContext(context, method) ? undefined : 'context-not-allowed';
}

/** @returns why it is not signed; `undefined`: it may go on */
export function refuseSign(policy: Policy, request: SignRequest): Refusal | undefined {
  if (isLegacy(request.method) && !policy.allowLegacyHashes) return 'legacy-hash';
  if (request.message !== undefined) return refuseMessage(policy, request.message, request);
  // node:crypto can sign a bare digest by PKCS#1 v1.5 only.
  const possible = policy.allowDigest && request.method.algorithm === 'rsa-pkcs1';
  return possible ? undefined : 'blind-digest';
}
