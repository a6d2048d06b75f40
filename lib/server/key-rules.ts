/**
 * What each key is for: what it may have signed, and whether it signs or decrypts. A key does one of the two unless it
 * is named for both: what one use gives away must not break the other (NIST SP 800-57 part 1, §5.2).
 */
import { fitsContext, type RecognisedContext } from '../protocol/handshake-message.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import type { StoredKey } from './key-store.ts';
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

/** Immutable: a new policy makes new rules. */
export class KeyRules {
  readonly #policy: Policy;
  readonly #rules: ReadonlyMap<string, Rule>;
  /** Of any key: the gate before a key is looked for. */
  readonly contexts: ReadonlySet<AllowedContext>;
  /** Whether any key may decrypt. */
  readonly decrypts: boolean;

  constructor(policy: Policy, keys: KeysOptions = {}) {
    this.#policy = policy;
    this.#rules = new Map(Object.entries(keys).map(([id, options]) => [id.toLowerCase(), ruleOf(options)]));
    const rules = [...this.#rules.values()];
    this.contexts = new Set([...policy.contexts, ...rules.flatMap(({ contexts }) => [...(contexts ?? [])])]);
    const named = policy.allowDecrypt === 'every-key' || policy.allowDecrypt.size > 0;
    this.decrypts = named || rules.some(({ uses }) => uses?.has('decrypt'));
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
  refuseDecrypt(keyId: string, { label }: StoredKey): Refusal | undefined {
    const { uses } = this.#rules.get(keyId) ?? {};
    const { allowDecrypt } = this.#policy;
    const named = () => allowDecrypt === 'every-key' || allowDecrypt.has(keyId) || allowDecrypt.has(label);
    return (uses === undefined ? named() : uses.has('decrypt')) ? undefined : 'use-not-allowed';
  }
}
