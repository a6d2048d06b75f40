/**
 * What each key is for: what it may have signed, and whether it signs or decrypts. A key does one of the two unless it
 * is named for both: what one use gives away must not break the other (NIST SP 800-57 part 1, §5.2).
 */
import { fitsContext, type RecognisedContext } from '../protocol/handshake-message.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import type { Scope } from './grants.ts';
import { asKeyId, namedIds } from './key-names.ts';
import type { KeyStore } from './key-store.ts';
import type { AllowedContext, Policy } from './policy.ts';
import type { Refusal } from './refusals.ts';

export const KEY_USES = ['sign', 'decrypt'] as const;
export type KeyUse = (typeof KEY_USES)[number];

/** What one key is for. */
export interface KeyOptions {
  /** What it may have signed; `undefined`: what the key server signs. */
  readonly contexts?: readonly (RecognisedContext | 'digest')[] | undefined;
  /** `undefined`: to sign, and to decrypt where `allowDecrypt` names it. */
  readonly uses?: readonly KeyUse[] | undefined;
}

/** By key id, 40 hexadecimal digits. */
export type KeysOptions = Readonly<Record<string, KeyOptions>>;

interface Rule {
  readonly contexts: ReadonlySet<AllowedContext> | undefined;
  readonly uses: ReadonlySet<KeyUse> | undefined;
}

function ruleOf({ contexts, uses }: KeyOptions): Rule {
  return { contexts: contexts && new Set(contexts), uses: uses && new Set(uses) };
}

/** What a request asks to have signed, as logs and grants call it; `undefined`: a message of no form that is known. */
export function contextOf({ message, context }: SignRequest): RecognisedContext | 'digest' | undefined {
  return message === undefined ? 'digest' : context;
}

/** Without contexts of its own, a client may what the keys may. */
function isWithin(context: AllowedContext, { contexts }: Scope): boolean {
  return contexts === undefined || (context !== 'tls12-client' && contexts.has(context));
}

/** Immutable: a new policy makes new rules. */
export class KeyRules {
  readonly #policy: Policy;
  readonly #rules: ReadonlyMap<string, Rule>;
  readonly #contexts = new WeakMap<Scope, ReadonlySet<AllowedContext>>();
  readonly #decrypts = new WeakMap<Scope, boolean>();
  readonly #store: KeyStore;
  /** Ids of keys that are named for decryption by them. */
  readonly #decrypting: ReadonlySet<string>;
  /** By which keys are named: these may be others later. */
  readonly #labels: readonly string[];
  /** Whether any key may decrypt. */
  readonly decrypts: boolean;
  /** Whether any key may sign bare digests. */
  readonly signsDigests: boolean;

  constructor(policy: Policy, store: KeyStore, keys: KeysOptions = {}) {
    this.#policy = policy;
    this.#store = store;
    this.#rules = new Map(Object.entries(keys).map(([id, options]) => [id.toLowerCase(), ruleOf(options)]));
    const everyKey = policy.allowDecrypt === 'every-key';
    const names = policy.allowDecrypt === 'every-key' ? [] : [...policy.allowDecrypt];
    this.#labels = names.filter((name) => asKeyId(name) === undefined);
    const ids = names.filter((name) => asKeyId(name) !== undefined);
    this.#decrypting = new Set([...ids, ...this.#rules.keys()].filter((id) => this.#isFor(id, ids)));
    this.signsDigests =
      policy.contexts.has('digest') ||
      [...this.#rules.values()].some(({ contexts }) => contexts?.has('digest'));
    this.decrypts = everyKey || this.#labels.length > 0 || this.#decrypting.size > 0;
  }

  /**
   * What a client may have signed with some key that it may use: the gate before a key is looked for, and what it is told. What
   * other clients' keys are for makes no difference to it.
   */
  contextsFor(scope: Scope): ReadonlySet<AllowedContext> {
    let contexts = this.#contexts.get(scope);
    if (contexts === undefined) {
      contexts = new Set(this.#contextsOfKeys(scope.keys).filter((each) => isWithin(each, scope)));
      this.#contexts.set(scope, contexts);
    }
    return contexts;
  }

  #contextsOfKeys(keys: Scope['keys']): AllowedContext[] {
    const signs = (rule: Rule | undefined) => rule?.uses?.has('sign') !== false;
    const contextsOf = (rule: Rule | undefined) =>
      signs(rule) ? [...(rule?.contexts ?? this.#policy.contexts)] : [];
    if (keys !== undefined) return [...keys].flatMap((keyId) => contextsOf(this.#rules.get(keyId)));
    return [...this.#policy.contexts, ...[...this.#rules.values()].flatMap(contextsOf)];
  }

  /** Whether a client may have anything decrypted, as {@link contextsFor}. */
  decryptsFor(scope: Scope): boolean {
    if (!this.decrypts || !scope.decrypts) return false;
    let byId = this.#decrypts.get(scope);
    if (byId === undefined) {
      byId = this.#decryptsById(scope);
      this.#decrypts.set(scope, byId);
    }
    return byId || this.#labels.some((label) => this.#decryptsByLabel(label, scope));
  }

  #decryptsById({ keys }: Scope): boolean {
    if (this.#policy.allowDecrypt !== 'every-key')
      return [...this.#decrypting].some((id) => keys?.has(id) !== false);
    return keys === undefined || [...keys].some((id) => this.#isFor(id, [id]));
  }

  /** Which key it names is looked at each time. One that it does not name yet may come later: for whom may use every key. */
  #decryptsByLabel(label: string, { keys }: Scope): boolean {
    const named = namedIds(this.#store, label);
    const [id] = named;
    if (id === undefined || named.length > 1) return keys === undefined;
    return keys?.has(id) !== false && this.#isFor(id, named);
  }

  /** @param named the ids of keys that are named for decryption, if the rules do not say otherwise */
  #isFor(id: string, named: readonly string[]): boolean {
    return this.#rules.get(id)?.uses?.has('decrypt') ?? named.includes(id);
  }

  #mayDecrypt(keyId: string): boolean {
    if (this.#policy.allowDecrypt === 'every-key') return this.#isFor(keyId, [keyId]);
    if (this.#decrypting.has(keyId)) return true;
    const labelled = this.#labels.map((label) => namedIds(this.#store, label));
    return labelled.some((named) => named.length === 1 && this.#isFor(keyId, named));
  }

  /** @param keyId of the key, 40 hexadecimal digits; @returns why not; `undefined`: it is for that */
  refuseSign(keyId: string, request: SignRequest): Refusal | undefined {
    const { contexts = this.#policy.contexts, uses } = this.#rules.get(keyId) ?? {};
    if (uses?.has('sign') === false) return 'use-not-allowed';
    const context = contextOf(request);
    if (context === 'digest') return contexts.has('digest') ? undefined : 'context-not-allowed';
    if (contexts.has('tls12-client')) return undefined;
    const fits = context !== undefined && contexts.has(context) && fitsContext(context, request.method);
    return fits ? undefined : 'context-not-allowed';
  }

  /** As {@link refuseSign}, for the other use. */
  refuseDecrypt(keyId: string): Refusal | undefined {
    return this.#mayDecrypt(keyId) ? undefined : 'use-not-allowed';
  }
}
