/**
 * The project's heart as a type: a private key is an object that signs.
 *
 * Types only. Whoever holds a key (a key server, a KMS, an HSM, a child process) implements {@link PrivateKey};
 * the engine calls it with one {@link Operation} at a time and hands the answer back to OpenSSL.
 */

import type { KeylessError } from '../errors.ts';

/** Signature schemes by their names in RFC 8446 §4.2.3; `rsa_pkcs1_md5_sha1` is TLS 1.0/1.1's unnamed one. */
export type SignatureScheme =
  | 'rsa_pkcs1_sha256'
  | 'rsa_pkcs1_sha384'
  | 'rsa_pkcs1_sha512'
  | 'rsa_pkcs1_sha224'
  | 'rsa_pkcs1_sha1'
  | 'rsa_pkcs1_md5_sha1'
  | 'rsa_pss_rsae_sha256'
  | 'rsa_pss_rsae_sha384'
  | 'rsa_pss_rsae_sha512'
  | 'rsa_pss_pss_sha256'
  | 'rsa_pss_pss_sha384'
  | 'rsa_pss_pss_sha512'
  | 'ecdsa_secp256r1_sha256'
  | 'ecdsa_secp384r1_sha384'
  | 'ecdsa_secp521r1_sha512'
  | 'ecdsa_sha1'
  | 'ecdsa_sha224'
  | 'ecdsa_sha256'
  | 'ecdsa_sha384'
  | 'ecdsa_sha512'
  | 'ed25519'
  | 'ed448';

/**
 * What every operation says about the handshake it belongs to.
 *
 * A PrivateKey that wraps another one hands it on, or a copy, `{ ...operation, deadline }`. A copy has all but `peerAddress`,
 * `localAddress` and `signal`, which cost something and are made when they are read; keys of `connectKeyServers` find them for a copy.
 */
export interface OperationContext {
  /** SHA-1 over the content of the subjectPublicKey bit string (RFC 5280 §4.2.1.2 method 1), 20 bytes. */
  readonly keyId: Buffer;
  /** The end-entity certificate whose key is asked for, DER. */
  readonly certificate: Buffer;
  /** Whether the certificate's owner is the server or the client of this handshake. */
  readonly role: 'server' | 'client';
  /** The SNI host name of the handshake; peer-supplied text on servers. `undefined`: none was sent. */
  readonly servername: string | undefined;
  /** The peer's IP address; `undefined` where there is no socket. */
  readonly peerAddress: string | undefined;
  /** The local IP address; `undefined` where there is no socket. */
  readonly localAddress: string | undefined;
  /** When the answer is of no use any more: milliseconds on the monotonic clock of `performance.now()`. */
  readonly deadline: number;
  /** Fires when the connection goes or the deadline passes; `reason` is a KeylessError. */
  readonly signal: AbortSignal;
}

/** Sign `message` (not its digest) with `scheme`. */
export interface SignOperation extends OperationContext {
  readonly kind: 'sign';
  readonly scheme: SignatureScheme;
  /** The whole message: TLS 1.3 CertificateVerify content, or the TLS 1.2 parameters to be signed. */
  readonly message: Buffer;
}

/**
 * Decrypt the premaster secret of an RSA key exchange (RFC 5246 §7.4.7.1).
 * The answer is either the 48-byte premaster secret, or the raw block of modulus size (no padding removed), which
 * the engine checks in constant time.
 */
export interface DecryptOperation extends OperationContext {
  readonly kind: 'decrypt';
  /** PKCS#1 v1.5 ciphertext of modulus size. */
  readonly ciphertext: Buffer;
  /** The version the client offered first, which the premaster must start with, for example 0x0303. */
  readonly clientVersion: number;
}

export type Operation = SignOperation | DecryptOperation;

/** Bytes, or a promise of bytes. */
export type OperationResult = Uint8Array | PromiseLike<Uint8Array>;

/**
 * When a result is checked with the certificate before use. `rsa` (the default): RSA signatures, and those of key servers that
 * have signed wrongly lately.
 */
export type VerifyPolicy = 'always' | 'rsa' | 'never';

/** A private key that is somewhere else. Give it to `tls.createServer` as `key`. */
export interface PrivateKey {
  /** @returns the signature: DER for ECDSA, modulus size for RSA, 64 or 114 bytes for Ed25519 and Ed448 */
  sign(operation: SignOperation): OperationResult;
  /**
   * Called when what {@link sign} answered was refused: of the wrong size, not DER, or not verified (see `verify`). Whoever
   * can ask elsewhere answers again, at most twice and within the operation's deadline.
   *
   * @returns another signature; `undefined`: there is none
   */
  readonly signAgain?:
    | ((operation: SignOperation, refused: KeylessError) => OperationResult | undefined)
    | undefined;
  /**
   * Called when what it answered was refused and no other answer is asked for, as {@link signAgain} would; also when the peer
   * refused a signature that was not checked before, or left in place of taking it, and it does not verify. The handshake has failed.
   */
  readonly onRefused?: ((operation: Operation, refused: KeylessError) => void) | undefined;
  /** Left out, or `undefined`: RSA key exchange is not offered. */
  readonly decrypt?: ((operation: DecryptOperation) => OperationResult) | undefined;
  /** What it can sign; `undefined`: all that the certificate's key can. The handshake offers only those. */
  readonly schemes?: readonly SignatureScheme[] | undefined;
  /** DER subjectPublicKeyInfo of the key, if it is one key and known; checked against the certificate. */
  readonly publicKey?: Uint8Array | undefined;
  /** Milliseconds for one operation, 1 to 2,147,483,647; default 10,000. */
  readonly timeoutMs?: number | undefined;
  readonly verify?: VerifyPolicy | undefined;
}
