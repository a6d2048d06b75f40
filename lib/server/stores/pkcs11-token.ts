/**
 * The keys of a PKCS#11 token (an HSM, a smart card, SoftHSM) as a key store: they stay in the token.
 *
 * RSA with PKCS#1 v1.5 and PSS, EC on P-256, P-384 and P-521; RSA key exchange where it is allowed. The module runs in
 * processes of its own: see token-process.ts for why.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { isUint8Array } from 'node:util/types';
import { type Clock, systemClock } from '../../clock.ts';
import { KeylessError } from '../../errors.ts';
import { digestOf } from '../../protocol/digests.ts';
import { certificateDigest, subjectKeyId } from '../../protocol/key-id.ts';
import { escapePeerText } from '../../protocol/peer-text.ts';
import type { SigningMethod } from '../../protocol/schemes.ts';
import { canSign, type KeyKind, keyKindOf } from '../../signing/key-kind.ts';
import { digestInfo, modulusOf, requireBelowModulus } from '../../signing/raw-rsa.ts';
import { verifyInPool } from '../../signing/sign-message.ts';
import type { KeyChange, KeyProblem, KeySelector, LiveKeyStore, StoredKey, Workplace } from '../key-store.ts';
import { KeySet } from './key-set.ts';
import { TokenPool } from './token-pool.ts';
import type { SignTask, TokenKey, TokenMechanism } from './token-tasks.ts';

export interface Pkcs11Options {
  /** Path of the PKCS#11 module, for example `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly library: string;
  /** The token's label; `undefined`: by `slot`, or the only token there is. */
  readonly token?: string | undefined;
  readonly slot?: number | undefined;
  /** The user's PIN, or what gives it, asked before each login; `undefined`: without logging in. */
  readonly pin?: string | (() => string) | undefined;
  /** Labels of keys, or `id:` and a CKA_ID in hexadecimal; default: every private key of the token. */
  readonly keys?: readonly string[] | undefined;
  /** Let RSA keys decrypt that the token lets decrypt; the key server must be allowed to, too. Default `false`. */
  readonly decrypt?: boolean | undefined;
  /** Processes that talk to the token at once; default 2. Started when there is work. */
  readonly processes?: number | undefined;
  /** Milliseconds that an operation may take, and that it may wait for its turn; default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds until the token must be open; default 15,000. */
  readonly startTimeoutMs?: number | undefined;
  /** Operations that may wait for those before them where no key server has them take turns; default 1,024. */
  readonly maxWaiting?: number | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

/** Bytes of a digest that count (FIPS 186-5 §6.4.1): not every token cuts it off itself. */
const ORDER_BYTES: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48, secp521r1: 66 };
const PSS_HASHES: readonly unknown[] = ['sha256', 'sha384', 'sha512'];

function problem(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_KEY_STORE', what);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What the keys of a token share. */
interface Token {
  readonly pool: TokenPool;
  readonly workplace: Workplace;
}

class TokenHeldKey implements StoredKey {
  readonly keyId: Uint8Array;
  readonly certificateDigest: Uint8Array | undefined;
  readonly kind: KeyKind;
  readonly label: string;
  readonly decryptRaw?: (ciphertext: Uint8Array) => Promise<Uint8Array>;
  readonly workplace: Workplace;
  readonly #pool: TokenPool;
  readonly #publicKey: KeyObject;
  readonly #mechanisms: readonly TokenMechanism[];

  constructor(
    { pool, workplace }: Token,
    publicKey: KeyObject,
    mechanisms: readonly TokenMechanism[],
    label: string,
  ) {
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    this.kind = keyKindOf(publicKey);
    this.keyId = subjectKeyId(spki);
    this.certificateDigest = this.kind.type === 'rsa' ? certificateDigest(spki) : undefined;
    this.label = label;
    this.workplace = workplace;
    this.#pool = pool;
    this.#publicKey = publicKey;
    this.#mechanisms = mechanisms;
    if (mechanisms.includes('rsa-raw')) {
      const modulus = modulusOf(publicKey);
      this.decryptRaw = (ciphertext) => this.#decrypt(ciphertext, modulus);
    }
  }

  canSign(method: SigningMethod): boolean {
    const { algorithm, hash } = method;
    if (!canSign(this.kind, method) || !(this.#mechanisms as readonly string[]).includes(algorithm))
      return false;
    return algorithm !== 'rsa-pss' || PSS_HASHES.includes(hash);
  }

  async sign(method: SigningMethod, message: Uint8Array): Promise<Uint8Array> {
    if (!this.canSign(method)) {
      throw new KeylessError(
        'ERR_KEYLESS_UNSUPPORTED_SCHEME',
        `The token does not sign by ${method.algorithm} ${method.hash ?? ''} with ${this.label}.`,
      );
    }
    const signature = await this.#pool.run(this.#task(method, digestOf(method.hash!, message)));
    const isGood =
      isUint8Array(signature) && (await verifyInPool(this.#publicKey, method, message, signature));
    if (isGood) return signature;
    throw problem(`The token's signature with ${this.label} does not verify.`);
  }

  #task(method: SigningMethod, digest: Uint8Array): SignTask {
    const task = {
      kind: 'sign',
      keyId: hex(this.keyId),
      mechanism: method.algorithm as SignTask['mechanism'],
      hash: method.hash!,
    } as const;
    if (method.algorithm === 'rsa-pkcs1') return { ...task, input: digestInfo(method.hash!, digest) };
    return {
      ...task,
      input: this.kind.type === 'ec' ? digest.subarray(0, ORDER_BYTES[this.kind.curve!]) : digest,
    };
  }

  async #decrypt(ciphertext: Uint8Array, modulus: Uint8Array): Promise<Uint8Array> {
    const size = modulus.length;
    // Some tokens take what is not below the modulus for a fault of their own.
    requireBelowModulus(ciphertext, modulus);
    const input = Uint8Array.from(ciphertext);
    const block = await this.#pool.run({ kind: 'decrypt', keyId: hex(this.keyId), input });
    if (!isUint8Array(block) || block.length > size) {
      throw problem(`The token's answer with ${this.label} is no block of its size.`);
    }
    // Some tokens leave out the zeros at the start, of which a well-formed block has one: it must not be told by an error.
    const whole = Buffer.alloc(size);
    whole.set(block, size - block.length);
    return whole;
  }
}

/** As the option `keys` names it. */
function isWanted({ label, id }: TokenKey, wanted: readonly string[] | undefined): boolean {
  return (
    wanted === undefined ||
    wanted.includes(Buffer.from(label).toString('utf8')) ||
    wanted.some((name) => id.length > 0 && name.toLowerCase() === `id:${hex(id)}`)
  );
}

class Pkcs11Token implements LiveKeyStore {
  readonly #token: Token;
  readonly #wanted: readonly string[] | undefined;
  readonly #decrypt: boolean;
  readonly #set = new KeySet();

  constructor(options: Pkcs11Options) {
    const { library, token, slot, pin } = options;
    this.#wanted = options.keys;
    this.#decrypt = options.decrypt === true;
    const { processes = 2, timeoutMs = 5000 } = options;
    const pool = new TokenPool({
      open: () => ({ kind: 'open', library, token, slot, pin: typeof pin === 'function' ? pin() : pin }),
      size: processes,
      timeoutMs,
      startTimeoutMs: options.startTimeoutMs ?? 15_000,
      maxWaiting: options.maxWaiting ?? 1024,
      clock: options.clock ?? systemClock,
    });
    // One for each process, and one that is there when a signature has been made, which is looked at before it leaves.
    this.#token = { pool, workplace: { atOnce: () => processes + 1, patienceMs: timeoutMs } };
  }

  get keys(): readonly StoredKey[] {
    return this.#set.keys;
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#set.find(selector);
  }

  named(label: string): readonly StoredKey[] {
    return this.#set.named(label);
  }

  async reload(): Promise<KeyChange> {
    const { pool } = this.#token;
    pool.forgive();
    const listed = await pool.run({ kind: 'list' });
    if (!Array.isArray(listed)) throw problem('The token did not list its keys.');
    const problems: KeyProblem[] = [];
    const wanted = (listed as readonly TokenKey[]).filter((key) => isWanted(key, this.#wanted));
    const keys = wanted.flatMap((key) => this.#keyOf(key, problems) ?? []);
    return { ...this.#set.replace(keys), problems };
  }

  close(): void {
    this.#token.pool.close();
  }

  #keyOf({ label, id, publicKey, mechanisms }: TokenKey, problems: KeyProblem[]): TokenHeldKey | undefined {
    const name = `pkcs11 ${label.length > 0 ? escapePeerText(label) : `id:${hex(id)}`}`;
    try {
      if (typeof publicKey === 'string') throw new Error(publicKey);
      const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
      const usable = mechanisms.filter((each) => each !== 'rsa-raw' || this.#decrypt);
      if (usable.length === 0) throw new Error('the token lets it sign nothing');
      return new TokenHeldKey(this.#token, key, usable, name);
    } catch (error) {
      problems.push({ file: name, reason: (error as Error).message });
      return undefined;
    }
  }
}

/**
 * The keys of a PKCS#11 token, listed once; see {@link LiveKeyStore.reload}. Needs the package pkcs11js.
 *
 * @throws (rejects) ERR_KEYLESS_INVALID_ARGUMENT without a library; ERR_KEYLESS_KEY_STORE if the token cannot be opened:
 *   no pkcs11js, no module, no such token, a PIN that it does not accept
 */
export async function pkcs11Token(
  options: Pkcs11Options,
): Promise<LiveKeyStore & { readonly problems: readonly KeyProblem[] }> {
  if (typeof options?.library !== 'string' || options.library === '') {
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', '"library" must be the path of a PKCS#11 module.');
  }
  const token = new Pkcs11Token(options);
  try {
    const { problems } = await token.reload();
    return Object.assign(token, { problems });
  } catch (error) {
    token.close();
    throw error;
  }
}
