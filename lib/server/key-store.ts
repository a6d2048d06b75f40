/**
 * What a key server needs from whatever holds its keys: files, a token, an agent. Types only.
 */
import type { KeySelector } from '../protocol/request-decoder.ts';
import type { SigningMethod } from '../protocol/schemes.ts';
import type { KeyKind } from '../signing/key-kind.ts';

export type { KeySelector } from '../protocol/request-decoder.ts';
export type { SigningMethod } from '../protocol/schemes.ts';
export type { KeyKind } from '../signing/key-kind.ts';

/** What several keys share to do what they are asked. More operations than it takes at once wait in turn, client by client. */
export interface Workplace {
  /** Operations under way there, now: as few as keep it busy, for whoever comes next waits for all of them. */
  readonly atOnce: () => number;
  /** Milliseconds after which an operation that still waits is not begun, and the edge told to ask another key server; default none. */
  readonly patienceMs?: number | undefined;
}

/**
 * One private key.
 *
 * MUST: never block the event loop for longer than about 100 µs in a call (answer with a promise instead); settle every
 * promise, in bounded time; reject, rather than answer with something else, when it cannot; keep the bytes it was given
 * unchanged; hold no bytes of a request after it settled; put no secret into an error.
 *
 * A key that is elsewhere (a token, an agent) MUST also: look at each signature with the public key before it answers,
 * for a faulty one gives an RSA key away; name its `workplace`, which it shares with the other keys of its holder; and reject with `ERR_KEYLESS_KEY_STORE` when its holder,
 * not the request, is the reason: the edge is then told to ask another key server.
 */
export interface StoredKey {
  /** 20 bytes: {@link subjectKeyId} of the public key. */
  readonly keyId: Uint8Array;
  /** 32 bytes, the legacy selector; RSA only. */
  readonly certificateDigest?: Uint8Array | undefined;
  readonly kind: KeyKind;
  /**
   * For people: a file name, a label. Not a secret, and escaped where it is somebody else's text. See {@link KeyStore.named}.
   */
  readonly label: string;
  /** Whether it can sign so; without it, by every method that fits `kind`. MUST answer at once. */
  canSign?(method: SigningMethod): boolean;
  /** Where its operations are done if they take long: one object for all keys that share it, as long as they are served. */
  readonly workplace?: Workplace | undefined;
  /**
   * Sign the message (not a digest) by a method that fits `kind`.
   *
   * @param digest of the message, by the method's hash: it may be signed instead; `undefined`: it has to be made
   * @returns DER for ECDSA, modulus size for RSA, 64 or 114 bytes for Ed25519 and Ed448
   */
  sign(
    method: SigningMethod,
    message: Uint8Array,
    digest?: Uint8Array | undefined,
  ): Uint8Array | Promise<Uint8Array>;
  /**
   * Sign a digest of nobody knows what, by a method that fits `kind` and has a hash. Without it, the key server refuses digests.
   *
   * @param digest of the length of the method's hash
   */
  signDigest?(method: SigningMethod, digest: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /**
   * c^d mod n, of modulus size. Without it, the key server refuses decryption. MUST reject with `ERR_KEYLESS_INVALID_ARGUMENT` what is not
   * below the modulus, and MUST NOT reject with `ERR_KEYLESS_KEY_STORE` for anything that the ciphertext decrypts to: the peer is told.
   */
  decryptRaw?(ciphertext: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/**
 * Finds keys.
 *
 * MUST: answer at once, from memory, without I/O; compare whole key ids; prefer `selector.keyId` where both are there;
 * answer `undefined` for what it does not have. May answer differently later (a reload); a key that was handed out
 * must stay usable for the operations that have begun.
 */
export interface KeyStore {
  find(selector: KeySelector): StoredKey | undefined;
  /** All keys with that label. `allowDecrypt` names a key by it; without it, by ids only. */
  named?(label: string): readonly StoredKey[];
}

/** Something that gives no key, and why. */
export interface KeyProblem {
  /** A file, or what else the store calls its keys. */
  readonly file: string;
  readonly reason: string;
}

/** What another look at where the keys are has changed. */
export interface KeyChange {
  readonly added: readonly StoredKey[];
  readonly removed: readonly StoredKey[];
  /** What could not be used; the keys that were there before are still served. */
  readonly problems: readonly KeyProblem[];
}

/**
 * A key store whose keys are elsewhere and may come, change and go.
 *
 * MUST: find nothing before its first reload; keep what it has when a reload fails; tell problems apart from keys, so
 * that one bad key hides no other; end what it has started, connections and threads, when it is closed, and then reject.
 */
export interface LiveKeyStore extends KeyStore {
  readonly keys: readonly StoredKey[];
  /** Looks again. @throws (rejects) ERR_KEYLESS_KEY_STORE if its holder cannot be asked, and nothing changes */
  reload(): Promise<KeyChange>;
  close(): void;
}
