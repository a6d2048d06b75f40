/**
 * An app's side of the processes that hold its keys.
 *
 * Two processes hold every key: when one ends, or is stopped, the operations it had not answered are repeated by the
 * other. Neither keeps the app alive; both end with it. Nothing of a key stays here once it was handed over.
 */
import { KeylessError } from '../errors.ts';
import type { Items } from '../protocol/tags.ts';
import { HOLDERS } from './holder-child.ts';
import { KeyHolder, keysGone } from './key-holder.ts';

type Settle = (result: Uint8Array | KeylessError) => void;

export class KeyProcess {
  #holders: KeyHolder[] | undefined;

  /**
   * Hands a key over.
   *
   * @param pkcs8 may be wiped when this returns
   * @throws KeylessError ERR_KEYLESS_PLATFORM: there is no process, and none can be started
   */
  keep(pkcs8: Uint8Array): void {
    for (const holder of this.#start()) holder.keep(pkcs8);
  }

  /** Settles once. An operation whose process does not answer is repeated by the other one, if that one does. */
  ask(items: Items): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const settle: Settle = (result) => (result instanceof KeylessError ? reject(result) : resolve(result));
      this.#ask(items, settle);
    });
  }

  #ask(items: Items, settle: Settle): void {
    const holders = this.#start();
    const holder = holders.find(({ silent }) => !silent) ?? holders[0];
    if (holder === undefined) {
      settle(keysGone());
      return;
    }
    holder.ask(items, (result) => {
      if (result === undefined) this.#ask(items, settle);
      else settle(result);
    });
  }

  /** @throws KeylessError ERR_KEYLESS_PLATFORM: they cannot be started; the next call tries again */
  #start(): readonly KeyHolder[] {
    this.#holders ??= startHolders();
    return this.#holders;
  }
}

/** Both, or none: one alone would be the last, and nobody would know. */
function startHolders(): KeyHolder[] {
  const holders: KeyHolder[] = [];
  try {
    for (let index = 0; index < HOLDERS; index += 1) {
      const holder: KeyHolder = new KeyHolder({
        onEnd: () => holders.splice(holders.indexOf(holder), 1),
        onSilence: () => holders.some(({ silent }) => !silent),
      });
      holders.push(holder);
    }
  } catch (error) {
    for (const holder of [...holders]) holder.end();
    throw error;
  }
  return holders;
}
