/** One request to one answer: policy, key, cryptography. Whatever goes wrong, there is an answer. */
import { isUint8Array } from 'node:util/types';
import { KeylessError } from '../errors.ts';
import { encodeCapabilities } from '../protocol/capabilities.ts';
import { MAX_BODY_BYTES } from '../protocol/frame-encoder.ts';
import { CustomFunction } from '../protocol/opcodes.ts';
import { latin1Of } from '../protocol/peer-text.ts';
import type { DecryptRequest, SignRequest } from '../protocol/request-decoder.ts';
import { type HashName, SIGNING_FUNCTIONS, SIGNING_METHODS } from '../protocol/schemes.ts';
import { canSign, canSignTls13 } from '../signing/key-kind.ts';
import type { Asking, Outcome, PatientAsker } from './asking.ts';
import { serverKeyFailed } from './channels.ts';
import type { Grant } from './grants.ts';
import { rejectionOf } from './implicit-rejection.ts';
import { idOf } from './key-names.ts';
import { contextOf, KeyRules, type KeysOptions } from './key-rules.ts';
import type { KeyStore, StoredKey } from './key-store.ts';
import { type Policy, refuseSign } from './policy.ts';
import { MIN_BLOCK_BYTES, premasterOf } from './premaster.ts';
import type { Refusal } from './refusals.ts';
import { bareHashes, isLegacy, signedDigests } from './signed-digests.ts';
import type { SignedOnce } from './signed-once.ts';
import type { TicketKeys } from './ticket-keys.ts';
import { Workplaces } from './workplaces.ts';

/** @returns why the key cannot do it; `undefined`: it can */
function unfit(key: StoredKey, { method, message, context }: SignRequest): Refusal | undefined {
  if (!canSign(key.kind, method) || key.canSign?.(method) === false) return 'key-type';
  if (message === undefined) return key.signDigest === undefined ? 'blind-digest' : undefined;
  // TLS 1.3 signs by fewer methods than the key has: P-256 with SHA-256 and nothing else, for example.
  const tls13 = context?.startsWith('tls13') === true;
  return tls13 && !canSignTls13(key.kind, method) ? 'key-type' : undefined;
}

/** As {@link unfit}, for RSA key exchange. */
function unfitToDecrypt({ decryptRaw, kind }: StoredKey): Refusal | undefined {
  if (decryptRaw === undefined || kind.type !== 'rsa') return 'key-type';
  return kind.modulusBytes! < MIN_BLOCK_BYTES ? 'key-type' : undefined;
}

function signWith(
  key: StoredKey,
  { method, message, digest }: SignRequest,
): Uint8Array | Promise<Uint8Array> {
  // The digest is the message's: the policy has compared them.
  return message === undefined ? key.signDigest!(method, digest!) : key.sign(method, message, digest);
}

/** Key stores are written by others: whatever is not bytes is an error of ours, and so is a buffer that was given to another thread. */
function outcomeOf(value: unknown): Outcome {
  return isUint8Array(value) && value.length > 0 ? value : 'failed';
}

function tellOf(key: StoredKey, error: unknown): void {
  const { label } = key;
  if (serverKeyFailed.hasSubscribers) serverKeyFailed.publish({ keyId: idOf(key), label, error });
}

/** Errors of keys are not the peer's business: it learns that the cryptography failed, or that it should go elsewhere. */
function refusalOf(key: StoredKey, error: unknown): Refusal {
  tellOf(key, error);
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ERR_KEYLESS_KEY_STORE' ? 'store-unavailable' : 'key-failed';
}

/** Operations that wait for their turn at one workplace, of all clients: 16 MB of requests. */
const MAX_WAITING = 16_384;

function guarded(key: StoredKey, work: () => Uint8Array | Promise<Uint8Array>): Outcome | Promise<Outcome> {
  const refused = (error: unknown) => refusalOf(key, error);
  try {
    const result = work();
    if (isUint8Array(result)) return outcomeOf(result);
    return Promise.resolve(result).then(outcomeOf, refused);
  } catch (error) {
    return refused(error);
  }
}

/**
 * A block without a premaster where the ciphertext has none for all to see: of another length, or not below the modulus. Also
 * where the decryption failed, for that may be of the ciphertext; only a holder that does not answer is an error.
 */
async function blockOf(key: StoredKey, ciphertext: Uint8Array): Promise<Uint8Array> {
  const nothing = new Uint8Array(key.kind.modulusBytes!);
  if (ciphertext.length !== nothing.length) return nothing;
  try {
    const block = await key.decryptRaw!(ciphertext);
    if (block.length === nothing.length) return block;
    throw new KeylessError('ERR_KEYLESS_OPERATION_FAILED', 'The block is not of the size of the modulus.');
  } catch (error) {
    const { code } = (error ?? {}) as NodeJS.ErrnoException;
    if (code === 'ERR_KEYLESS_KEY_STORE') throw error;
    // What is not below the modulus is anybody's to send, and no problem of the key.
    if (code !== 'ERR_KEYLESS_INVALID_ARGUMENT') tellOf(key, error);
    return nothing;
  }
}

/** The premaster, or what is instead of it, by one path: no error, no length, no second answer tells them apart. */
function premaster(key: StoredKey, { ciphertext, clientVersion }: DecryptRequest): Promise<Outcome> {
  const answer = async () => {
    const rejection = await rejectionOf(key, ciphertext);
    return premasterOf(await blockOf(key, ciphertext), clientVersion, rejection);
  };
  return Promise.resolve(guarded(key, answer));
}

function textOf(servername: Uint8Array | undefined): string | undefined {
  return servername && latin1Of(servername);
}

/** What is done with a key, perhaps later. */
interface Task {
  readonly key: StoredKey;
  /** @returns why the client must not have it done now; `undefined`: it may */
  deny(grant: Grant): Refusal | undefined;
  work(): Outcome | Promise<Outcome>;
}

/** What one key server does with the requests of all its connections. */
export class Operations {
  readonly #keys: KeyStore;
  readonly #policy: Policy;
  readonly #maxInFlight: number;
  readonly #signedOnce: SignedOnce | undefined;
  readonly #tickets: TicketKeys | undefined;
  readonly #workplaces: Workplaces;
  #rules!: KeyRules;
  #bareHashes!: readonly HashName[];

  /**
   * @param signedOnce `undefined`: a message may be signed again
   * @param maxInFlight requests of one connection, told to peers
   * @param tickets `undefined`: nobody gets ticket keys
   * @param maxWaiting operations that wait for their turn at one workplace
   */
  constructor(
    keys: KeyStore,
    policy: Policy,
    signedOnce: SignedOnce | undefined,
    maxInFlight: number,
    tickets?: TicketKeys,
    maxWaiting = MAX_WAITING,
  ) {
    this.#keys = keys;
    this.#policy = policy;
    this.#signedOnce = signedOnce;
    this.#tickets = tickets;
    this.#workplaces = new Workplaces(maxWaiting);
    this.#maxInFlight = maxInFlight;
    this.setKeys(undefined);
  }

  /** What each key is for, from here on. @param keys `undefined`: what the policy says of all */
  setKeys(keys: KeysOptions | undefined): void {
    this.#rules = new KeyRules(this.#policy, this.#keys, keys);
    this.#bareHashes = bareHashes(this.#rules.signsDigests, this.#policy.allowLegacyHashes);
  }

  /** What a client was not granted is not there. */
  capabilities(grant: Grant): Uint8Array {
    const { allowLegacyHashes } = this.#policy;
    const schemes = Object.entries(SIGNING_METHODS).filter(
      ([, method]) => allowLegacyHashes || !isLegacy(method),
    );
    const functions: string[] = [CustomFunction.CAPABILITIES, ...SIGNING_FUNCTIONS];
    if (this.#rules.decryptsFor(grant.scope)) functions.push(CustomFunction.RSA_PREMASTER);
    if (this.#tickets !== undefined && grant.ticketGroup !== undefined)
      functions.push(CustomFunction.TICKET_KEYS);
    return encodeCapabilities({
      versions: [1],
      schemes: schemes.map(([name]) => name),
      functions,
      contexts: [...this.#rules.contextsFor(grant.scope)],
      limits: { inFlight: this.#maxInFlight, bodyBytes: MAX_BODY_BYTES },
      time: Date.now(),
    });
  }

  /** @param ours whether the peer is one of ours: such keys do not go over TLS 1.2 */
  ticketKeys(grant: Grant, ours: boolean): Outcome {
    if (this.#tickets === undefined || !ours) return 'tickets-off';
    if (grant.ticketGroup === undefined) return 'tickets-not-granted';
    return grant.take() ? this.#tickets.answer(grant.ticketGroup) : 'rate';
  }

  sign(request: SignRequest, asking: Asking): Outcome | Promise<Outcome> {
    const grant = asking.grant();
    const refused = refuseSign(this.#policy, this.#rules.contextsFor(grant.scope), request);
    if (refused !== undefined) return refused;
    const key = this.#keys.find(request.selector);
    if (key === undefined) return 'unknown-key';
    asking.key = key;
    const keyId = idOf(key);
    const servername = textOf(request.servername);
    const asked = { kind: 'sign', keyId, servername, context: contextOf(request) } as const;
    const deny = (now: Grant) => this.#rules.refuseSign(keyId, request) ?? now.deny(asked);
    const denied = deny(grant) ?? grant.count(keyId) ?? unfit(key, request);
    if (denied !== undefined) return denied;
    const task: Task = { key, deny, work: () => guarded(key, () => signWith(key, request)) };
    const sign = (asker: PatientAsker) => this.#inTurn(request, asker, task);
    if (this.#signedOnce === undefined) return sign(asking);
    const digests = signedDigests(request, this.#bareHashes);
    return this.#signedOnce.run({ request, digests, key }, asking, sign);
  }

  /** Milliseconds that messages are remembered, now; `undefined`: they may be signed again at once. */
  get replayWindowMs(): number | undefined {
    return this.#signedOnce?.windowMs;
  }

  /** What waits for its turn is not done any more, nor is what would have to wait. */
  end(): void {
    this.#workplaces.end();
  }

  /** Operations that wait for their turn. */
  get waiting(): number {
    return this.#workplaces.waiting;
  }

  decrypt(request: DecryptRequest, asking: Asking): Outcome | Promise<Outcome> {
    const { ours } = asking;
    const raw = request.kind === 'raw-decrypt';
    if (!this.#rules.decrypts || (raw && (!this.#policy.allowRawDecrypt || ours))) return 'decryption-off';
    const key = this.#keys.find(request.selector);
    if (key === undefined) return this.#refusalFor(asking.grant(), 'unknown-key');
    asking.key = key;
    const keyId = idOf(key);
    const servername = textOf(request.servername);
    const asked = { kind: 'decrypt', keyId, servername, context: undefined } as const;
    const refuse = (now: Grant) => this.#rules.refuseDecrypt(keyId) ?? now.deny(asked);
    const grant = asking.grant();
    const denied = refuse(grant) ?? grant.count(keyId) ?? unfitToDecrypt(key);
    if (denied !== undefined) return this.#refusalFor(grant, denied);
    const deny = (now: Grant) => {
      const refusal = refuse(now);
      return refusal && this.#refusalFor(now, refusal);
    };
    if (!raw) return this.#inTurn(request, asking, { key, deny, work: () => premaster(key, request) });
    // OpenSSL takes shorter ones, which no TLS client makes.
    if (request.ciphertext.length !== key.kind.modulusBytes) return 'key-failed';
    const work = () => guarded(key, () => key.decryptRaw!(request.ciphertext));
    return this.#inTurn(request, asking, { key, deny, work });
  }

  /** To whom nothing may be decrypted, nothing is; a key that somebody else's decryption is granted for is no exception. */
  #refusalFor(grant: Grant, denied: Refusal): Refusal {
    return this.#rules.decryptsFor(grant.scope) ? denied : 'decryption-not-granted';
  }

  /** What has waited is looked at again: by now there may be another policy, and no such key. */
  #inTurn(
    { selector }: SignRequest | DecryptRequest,
    asker: PatientAsker,
    { key, deny, work }: Task,
  ): Outcome | Promise<Outcome> {
    if (key.workplace === undefined) return work();
    let waited = false;
    const again = () => (this.#keys.find(selector) === undefined ? 'unknown-key' : deny(asker.grant()));
    const outcome = this.#workplaces.run<Outcome>(
      key.workplace,
      asker,
      () => (waited ? again() : undefined) ?? work(),
    );
    waited = true;
    return outcome;
  }
}
