/** One of the processes that hold the keys of an app, seen from the app. */
import type { Socket } from 'node:net';
import { PendingRequests } from '../client/pending-requests.ts';
import { type Alarm, type Clock, systemClock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { type Answer, decodeAnswer } from '../protocol/answers.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { encodeFrame } from '../protocol/frame-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import { setImmediate } from '../timers.ts';
import { type HolderChild, takeHolderChild } from './holder-child.ts';
import { type ChannelFunction, channelRequest, MAX_UNANSWERED } from './key-channel.ts';
import { SilenceWatch } from './silence-watch.ts';

/** A process that has answered nothing for this long, though it was asked, is taken for stopped. */
const SILENCE_MS = 1000;

/** It takes 40 ms, and seconds on a machine that is very busy. One that hangs in Node's own start may do so for ever. */
const START_LIMIT_MS = 30_000;

/** Keys on their way from one process to another: a few milliseconds of work, which handshakes wait for. */
const KEYS_AT_ONCE = 16;

/** Called once. `undefined`: ask the other process, this one will not answer. */
export type OnResult = (result: Uint8Array | KeylessError | undefined) => void;

/** A key that is handed over. */
export interface HandedKey {
  /** Its key id, in hexadecimal digits. */
  readonly name: string;
  /** DER; may be wiped when it has been handed over. */
  readonly pkcs8: Uint8Array;
  /** The process that has it gives it to no other. */
  readonly alone: boolean;
}

export interface KeyHolderEvents {
  /** It answers nothing any more. */
  onEnd(): void;
  /** The process is gone, by itself or for a fault. @param how for people */
  onExit(how: string): void;
  /** It has not given up all that it does not need. @param what names of Hardening */
  onExposed(what: string): void;
  /** @returns whether what it has not answered may be asked elsewhere */
  onSilence(): boolean;
}

/** Of operations that another process is asked for. */
function notAnswered(): KeylessError {
  return new KeylessError('ERR_KEYLESS_CONNECTION', 'The process that holds the keys does not answer.');
}

function refused(code: number): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_OPERATION_FAILED',
    `The process that holds the keys answered with error ${code}.`,
  );
}

interface HeldFrame {
  readonly bytes: Buffer;
  readonly holdsKey: boolean;
}

function full(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    `The process that holds the keys has ${MAX_UNANSWERED} operations to answer. Is it stopped?`,
  );
}

/**
 * States: starting (nothing is sent to it: it may be debugged, dumped, or left behind by the app) -> serving <-> silent (it may be
 * stopped, and may be continued) -> ended. Starting it may be taken for silent as well.
 */
export class KeyHolder {
  readonly #child: HolderChild;
  readonly #channel: Socket;
  readonly #pending = new PendingRequests();
  readonly #decoder = new FrameDecoder();
  readonly #events: KeyHolderEvents;
  readonly #watch = new SilenceWatch(SILENCE_MS, {
    waits: () => !this.#ended && this.#pending.waiting > 0,
    onSilence: () => this.#fallSilent(),
  });
  /** Names of the keys that it has, and whether it gives them to no other process. */
  readonly #keys = new Map<string, boolean>();
  /** For when it has started; `undefined`: it has, or it has ended. */
  #held: HeldFrame[] | undefined = [];
  readonly #startLimit: Alarm;
  #ended = false;
  silent = false;
  /** When it said something for the last time; milliseconds on the clock. */
  heardAt = 0;
  readonly #clock: Clock;

  /** @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started */
  constructor(events: KeyHolderEvents, clock: Clock = systemClock) {
    this.#events = events;
    this.#clock = clock;
    this.#child = takeHolderChild();
    this.#channel = this.#child.channel;
    this.#channel.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#channel.on('error', () => this.#end());
    this.#channel.on('close', () => this.#end());
    // This process may have been the one that was busy: what has come meanwhile is read first.
    this.#startLimit = clock.after(START_LIMIT_MS, () => setImmediate(() => this.#giveUpStart()));
  }

  /** Its owner's wish: of how it ended there is nothing to tell. What it has not answered is answered elsewhere, or not at all. */
  end(): void {
    this.#endBecause(() => undefined);
  }

  has(name: string): boolean {
    return this.#keys.has(name);
  }

  /** How many keys it has, or had, that none of the others has. */
  countWithout(others: readonly KeyHolder[]): number {
    return [...this.#keys.keys()].filter((name) => !others.some((other) => other.has(name))).length;
  }

  /** What it has been given already it is not given again. */
  keep({ name, pkcs8, alone }: HandedKey): void {
    if (this.has(name)) return;
    this.#keys.set(name, alone);
    this.#tell(channelRequest(alone ? 'keepAlone' : 'keep', { payload: pkcs8 }), true);
  }

  drop(name: string): void {
    if (this.#keys.delete(name)) this.#forget(name);
  }

  #forget(name: string): void {
    this.#tell(channelRequest('drop', { keyId: Buffer.from(name, 'hex') }));
  }

  /** Nobody waits for the answer: it may come when the process runs. */
  #tell(items: Items, holdsKey = false): void {
    const id = this.#pending.add(() => undefined);
    this.#send({ bytes: encodeFrame(id, items), holdsKey });
  }

  #send(frame: HeldFrame): void {
    if (this.#held !== undefined) this.#held.push(frame);
    else if (frame.holdsKey) this.#channel.write(frame.bytes, () => frame.bytes.fill(0));
    else this.#channel.write(frame.bytes);
  }

  /** @param word the first one of the process */
  #begin(word: Answer): void {
    if (word.kind !== 'result') {
      this.#end();
      return;
    }
    this.#startLimit.cancel();
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const frame of held) this.#send(frame);
    if (word.payload.length > 0) this.#events.onExposed(Buffer.from(word.payload).toString('latin1'));
  }

  #giveUpStart(): void {
    if (this.#held !== undefined) this.#end(`it has not started within ${START_LIMIT_MS / 1000} s`);
  }

  /**
   * Moves the keys of this process to another one, but those that it gives to nobody; some at a time, so that handshakes
   * come in between. Ends when both have them, or one of the two has ended.
   */
  async copyKeysTo(other: KeyHolder): Promise<void> {
    const address = await other.#request('address');
    // Those that are given meanwhile are given to both.
    const names = [...this.#keys].flatMap(([name, alone]) => (alone ? [] : [name]));
    while (names.length > 0 && !this.#ended && !other.#ended) {
      const some = names.splice(-KEYS_AT_ONCE);
      await Promise.allSettled(some.map((name) => this.#copyKeyTo(other, name, address)));
    }
  }

  /** @param address of the other one */
  async #copyKeyTo(other: KeyHolder, name: string, address: Uint8Array): Promise<void> {
    const isWanted = () => this.has(name) && !other.has(name);
    if (!isWanted()) return;
    const keyId = Buffer.from(name, 'hex');
    const sealed = await this.#request('seal', { keyId, payload: address });
    if (!isWanted()) return;
    await other.#request('open', { keyId, payload: sealed });
    if (isWanted()) other.#keys.set(name, false);
    // Dropped since, and not given again.
    else if (!other.has(name)) other.#forget(name);
  }

  /** Waits for as long as the process says nothing. @throws KeylessError: it has ended, or refused */
  #request(what: ChannelFunction, items: Parameters<typeof channelRequest>[1] = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        if (this.#ended) {
          reject(notAnswered());
          return;
        }
        this.ask(channelRequest(what, items), (result) => {
          if (result === undefined) attempt();
          else if (result instanceof KeylessError) reject(result);
          else resolve(result);
        });
      };
      attempt();
    });
  }

  ask(items: Items, onResult: OnResult): void {
    if (this.#pending.unanswered >= MAX_UNANSWERED) {
      onResult(full());
      return;
    }
    this.#watch.asking();
    const id = this.#pending.add((answer) => {
      if (answer instanceof KeylessError) onResult(undefined);
      else if (answer.kind === 'result') onResult(answer.payload);
      else onResult(refused(answer.kind === 'error' ? answer.code : 0));
    });
    this.#send({ bytes: encodeFrame(id, items), holdsKey: false });
  }

  #read(chunk: Buffer): void {
    this.#watch.heard();
    this.heardAt = this.#clock.now();
    this.silent = false;
    this.#decoder.push(chunk);
    try {
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
        const answer = decodeAnswer(frame.items);
        if (answer === undefined) continue;
        if (this.#held !== undefined) this.#begin(answer);
        else this.#pending.settle(frame.id, answer);
      }
    } catch {
      this.#end();
    }
  }

  #fallSilent(): void {
    this.silent = true;
    if (this.#events.onSilence()) this.#pending.abandon(notAnswered());
  }

  /** @param how for people; `undefined`: as the system says */
  #end(how?: string): void {
    this.#endBecause((seen) => this.#events.onExit(how ?? seen));
  }

  #endBecause(tell: (seen: string) => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch.stop();
    this.#startLimit.cancel();
    for (const { bytes } of this.#held ?? []) bytes.fill(0);
    this.#held = undefined;
    this.#events.onEnd();
    this.#pending.fail(notAnswered());
    this.#child.end(tell);
  }
}
