/** What a key server and the process that talks to its token say to each other. */
import type { HashName } from '../../protocol/schemes.ts';

/** How a token is asked for a signature, always over a digest that was made before. */
export type TokenMechanism = 'rsa-pkcs1' | 'rsa-pss' | 'ecdsa' | 'rsa-raw';

/** The first task of a process: load the library, find the token, log in. */
export interface OpenTask {
  readonly kind: 'open';
  /** Path of the PKCS#11 module. */
  readonly library: string;
  /** `undefined`: by slot, or the only one. */
  readonly token: string | undefined;
  readonly slot: number | undefined;
  /** `undefined`: without logging in. */
  readonly pin: string | undefined;
}

export interface SignTask {
  readonly kind: 'sign';
  /** 40 hexadecimal digits. */
  readonly keyId: string;
  readonly mechanism: Exclude<TokenMechanism, 'rsa-raw'>;
  readonly hash: HashName;
  /** The digest; with PKCS#1 v1.5 the DigestInfo. */
  readonly input: Uint8Array;
}

export interface DecryptTask {
  readonly kind: 'decrypt';
  readonly keyId: string;
  readonly input: Uint8Array;
}

export type TokenTask = OpenTask | { readonly kind: 'list' } | SignTask | DecryptTask;

/** A private key as the token describes it: whatever is in here was written by whoever may write to the token. */
export interface TokenKey {
  readonly label: Uint8Array;
  /** CKA_ID. */
  readonly id: Uint8Array;
  /** DER SubjectPublicKeyInfo, or why there is none. */
  readonly publicKey: Uint8Array | string;
  readonly mechanisms: readonly TokenMechanism[];
}

/**
 * `pin`: the token did not take it, and must not be asked again with the same, or it locks itself. `setup`: no library, no
 * token. `lost`: whatever the process has of the token is worth nothing any more. `refused`: this task, not another. `input`:
 * perhaps for the bytes that were to be decrypted, which are the peer's.
 */
export type FailureReason = 'pin' | 'setup' | 'lost' | 'refused' | 'input';

export interface TokenFailure {
  readonly reason: FailureReason;
  /** No secret in it. */
  readonly message: string;
}

export type TokenResult = Uint8Array | readonly TokenKey[] | undefined;

/** Of the one task that was asked. */
export type TokenReply = { readonly result: TokenResult } | { readonly failure: TokenFailure };

export class TokenError extends Error {
  readonly reason: FailureReason;

  constructor(reason: FailureReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
