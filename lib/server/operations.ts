/** One request to one answer: policy, key, cryptography. Whatever goes wrong, there is an answer. */
import { randomBytes } from 'node:crypto';
import { type Capabilities, encodeCapabilities } from '../protocol/capabilities.ts';
import { MAX_BODY_BYTES } from '../protocol/frame-encoder.ts';
import { handshakeContext } from '../protocol/handshake-message.ts';
import { CustomFunction, WireError, type WireErrorCode } from '../protocol/opcodes.ts';
import type { DecryptRequest, SignRequest } from '../protocol/request-decoder.ts';
import { SIGNING_FUNCTIONS, SIGNING_METHODS } from '../protocol/schemes.ts';
import { canSign, canSignTls13 } from '../signing/key-kind.ts';
import type { KeyStore, StoredKey } from './key-store.ts';
import { type Policy, refuseSign } from './policy.ts';
import { MIN_BLOCK_BYTES, PREMASTER_BYTES, premasterOf } from './premaster.ts';

/** The payload of a result, or the code of an error. */
export type Outcome = Uint8Array | WireErrorCode;

function signWith(key: StoredKey, { method, message, digest }: SignRequest): Outcome | Promise<Uint8Array> {
  if (!canSign(key.kind, method)) return WireError.CRYPTOGRAPHY;
  if (message === undefined) {
    return key.signDigest === undefined ? WireError.BAD_OPCODE : key.signDigest(method.hash!, digest!);
  }
  // TLS 1.3 signs by fewer methods than the key has: P-256 with SHA-256 and nothing else, for example.
  const tls13 = handshakeContext(message)?.startsWith('tls13') === true;
  if (tls13 && !canSignTls13(key.kind, method)) return WireError.CRYPTOGRAPHY;
  return key.sign(method, message);
}

/** Key stores are written by others: whatever is not bytes is an error of ours. */
function outcomeOf(value: unknown): Outcome {
  return value instanceof Uint8Array ? value : WireError.INTERNAL;
}

/** Errors of keys are not the peer's business: it learns that the cryptography failed. */
function guarded(work: () => Outcome | Promise<Uint8Array>): Outcome | Promise<Outcome> {
  try {
    const result = work();
    if (typeof result === 'number' || result instanceof Uint8Array) return result;
    return Promise.resolve(result).then(outcomeOf, () => WireError.CRYPTOGRAPHY);
  } catch {
    return WireError.CRYPTOGRAPHY;
  }
}

/** The premaster, or random bytes, by one path: no error, no length tells them apart. */
async function premaster(key: StoredKey, { ciphertext, clientVersion }: DecryptRequest): Promise<Uint8Array> {
  const random = randomBytes(PREMASTER_BYTES);
  const modulusBytes = key.kind.modulusBytes!;
  // Both are known to whoever made the ciphertext: its length, and whether it is below the modulus.
  if (ciphertext.length !== modulusBytes || modulusBytes < MIN_BLOCK_BYTES) return random;
  try {
    const block = await key.decryptRaw!(ciphertext);
    return block.length === modulusBytes ? premasterOf(block, clientVersion, random) : random;
  } catch {
    return random;
  }
}

/** What one key server does with the requests of all its connections. */
export class Operations {
  readonly #keys: KeyStore;
  readonly #policy: Policy;
  readonly #capabilities: Buffer;

  /** @param maxInFlight requests of one connection, told to peers */
  constructor(keys: KeyStore, policy: Policy, maxInFlight: number) {
    this.#keys = keys;
    this.#policy = policy;
    this.#capabilities = encodeCapabilities(this.#describe(maxInFlight));
  }

  get capabilities(): Uint8Array {
    return this.#capabilities;
  }

  sign(request: SignRequest): Outcome | Promise<Outcome> {
    const refused = refuseSign(this.#policy, request);
    if (refused !== undefined) return refused;
    const key = this.#keys.find(request.selector);
    if (key === undefined) return WireError.KEY_NOT_FOUND;
    return guarded(() => signWith(key, request));
  }

  /** @param ours whether the peer is one of ours: those never get a raw block */
  decrypt(request: DecryptRequest, ours: boolean): Outcome | Promise<Outcome> {
    const raw = request.kind === 'raw-decrypt';
    const allowed = raw ? this.#policy.allowRawDecrypt && !ours : this.#policy.allowDecrypt;
    if (!allowed) return WireError.BAD_OPCODE;
    const key = this.#keys.find(request.selector);
    if (key === undefined) return WireError.KEY_NOT_FOUND;
    if (key.decryptRaw === undefined || key.kind.type !== 'rsa') return WireError.CRYPTOGRAPHY;
    if (!raw) return premaster(key, request);
    // OpenSSL takes shorter ones, which no TLS client makes.
    if (request.ciphertext.length !== key.kind.modulusBytes) return WireError.CRYPTOGRAPHY;
    return guarded(() => key.decryptRaw!(request.ciphertext));
  }

  #describe(maxInFlight: number): Capabilities {
    const { allowLegacyHashes, allowDecrypt, contexts } = this.#policy;
    const schemes = Object.entries(SIGNING_METHODS).filter(
      ([, { hash }]) => allowLegacyHashes || (hash !== 'sha1' && hash !== 'md5-sha1'),
    );
    const functions: string[] = [CustomFunction.CAPABILITIES, ...SIGNING_FUNCTIONS];
    if (allowDecrypt) functions.push(CustomFunction.RSA_PREMASTER);
    return {
      versions: [1],
      schemes: schemes.map(([name]) => name),
      functions,
      contexts: [...contexts],
      limits: { inFlight: maxInFlight, bodyBytes: MAX_BODY_BYTES },
    };
  }
}
