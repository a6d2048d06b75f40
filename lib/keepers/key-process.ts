/**
 * An app's side of the processes that hold its keys.
 *
 * Two processes hold every key: when one ends, or is stopped, the operations it had not answered are repeated by the
 * other, and another process takes its place. Neither keeps the app alive; both end with it. Nothing of a key stays here once it was
 * handed over.
 */
import { systemClock } from '../clock.ts';
import { Deadlines } from '../deadlines.ts';
import { KeylessError } from '../errors.ts';
import type { Items } from '../protocol/tags.ts';
import { HOLDERS } from './holder-child.ts';
import type { HandedKey, KeyHolder } from './key-holder.ts';
import type { KeyLease } from './key-leases.ts';
import { KeySlot } from './key-slot.ts';
import { Question, SILENCE_LIMIT_MS } from './question.ts';

function keyLost(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    'The processes that held this key have ended, and the key is gone with them. Give it again, in a new context or by ' +
      'setSecureContext(), or start the app again.',
  );
}

function noneRuns(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PLATFORM',
    'The processes that are to hold the keys end as soon as they are started. They are started again within a minute.',
  );
}

/** One for each process that has ended. @param lost how many keys none of the others has */
function warn(how: string, lost: number): void {
  const consequence =
    lost > 0
      ? `${lost} of the keys have gone with it: handshakes with them fail until the app gives them again (a new context, setSecureContext()), or is started again.`
      : 'Another one takes its place, and is given the keys by the one that is left; those of isolatedKey() it is not.';
  const message = `One of the two processes that hold the keys of this app has ended (${how}). ${consequence}`;
  const code = 'KEYLESS_KEY_PROCESS_ENDED';
  process.emitWarning(Object.assign(new Error(message), { name: 'KeylessWarning', code, lostKeys: lost }));
}

let isExposureTold = process.platform !== 'linux';

/** Once; elsewhere than on Linux they give nothing up, which is no news. */
function warnExposed(what: string): void {
  if (isExposureTold) return;
  isExposureTold = true;
  process.emitWarning(
    `The processes that hold the keys of this app could not give up on this system all that they do not need (missing: ${what}; docs/isolate.md).`,
    'KeylessWarning',
    'KEYLESS_KEY_PROCESS_EXPOSED',
  );
}

export class KeyProcess {
  readonly #slots: readonly KeySlot[];
  readonly #questions = new Deadlines<Question>(systemClock, { holdsProcess: false });
  #isStarted = false;

  constructor() {
    this.#slots = Array.from({ length: HOLDERS }, () => this.#makeSlot());
  }

  /**
   * Hands a key over, to those that do not have it.
   *
   * @throws KeylessError ERR_KEYLESS_PLATFORM: there is no process, and none can be started
   */
  keep(key: HandedKey): void {
    this.#start();
    const holders = this.#holders();
    if (holders.length === 0) throw noneRuns();
    for (const holder of holders) holder.keep(key);
  }

  /** Of a key that nobody asks for any more. It may be handed over again. */
  drop(name: string): void {
    for (const holder of this.#holders()) holder.drop(name);
  }

  /**
   * Settles once. An operation whose process does not answer is repeated by the other one, if that one does.
   *
   * @param key that was handed over; held until then
   * @param silenceMs how long the processes may say nothing
   */
  ask(key: KeyLease, items: Items, silenceMs = SILENCE_LIMIT_MS): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const question = new Question({ key, items, silenceMs }, systemClock.now(), (result) => {
        this.#questions.remove(question);
        if (result instanceof KeylessError) reject(result);
        else resolve(result);
      });
      this.#questions.add(question);
      this.#ask(question);
    });
  }

  /** How many processes have a key. */
  copiesOf(name: string): number {
    return this.#holders().filter((holder) => holder.has(name)).length;
  }

  #ask(question: Question): void {
    if (question.isSettled) return;
    const holders = this.#holders().filter((each) => each.has(question.key.name));
    const holder = holders.find(({ silent }) => !silent) ?? holders[0];
    if (holder === undefined) {
      question.settle(keyLost());
      return;
    }
    question.moveTo(holder);
    holder.ask(question.items, (result) => {
      if (result === undefined) this.#ask(question);
      else question.settle(result);
    });
  }

  #holders(): KeyHolder[] {
    return this.#slots.map(({ holder }) => holder).filter((holder) => holder !== undefined);
  }

  #makeSlot(): KeySlot {
    return new KeySlot({
      onExposed: warnExposed,
      onExit: (holder, how) => warn(how, holder.countWithout(this.#holders())),
      onReplaced: (holder) => this.#fill(holder),
      onSilence: (holder) =>
        this.#holders().some(
          (other) => other !== holder && !other.silent && holder.countWithout([other]) === 0,
        ),
    });
  }

  #fill(holder: KeyHolder): void {
    for (const other of this.#holders()) {
      // Where one of the two ends meanwhile, that is told, and the next one is filled.
      if (other !== holder) other.copyKeysTo(holder).catch(() => undefined);
    }
  }

  /**
   * Both, or none: one alone would be the last, and nobody would know.
   *
   * @throws KeylessError ERR_KEYLESS_PLATFORM: they cannot be started; the next call tries again
   */
  #start(): void {
    if (this.#isStarted) return;
    try {
      for (const slot of this.#slots) slot.start();
      this.#isStarted = true;
    } catch (error) {
      for (const slot of this.#slots) slot.stop();
      throw error;
    }
  }
}
