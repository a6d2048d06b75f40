/**
 * An app's side of the process that holds its keys.
 *
 * Two processes hold every key: when one ends, the operations it had not answered are repeated by the other. Neither
 * keeps the app alive; both end with it. Nothing of a key stays here once it was handed over.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { PendingRequests } from '../client/pending-requests.ts';
import { KeylessError } from '../errors.ts';
import { decodeAnswer } from '../protocol/answers.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { encodeFrame } from '../protocol/frame-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import { CHANNEL_FD, keepRequest } from './key-channel.ts';

type Settle = (result: Uint8Array | KeylessError) => void;

const MAIN = fileURLToPath(new URL('./key-process-main.js', import.meta.url));
const HOLDERS = 2;

function gone(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    'The process that held the keys has ended. Start the app again.',
  );
}

/** One process. States, one way: open -> ended. */
class Holder {
  readonly #channel: Socket;
  readonly #pending = new PendingRequests();
  readonly #onEnd: () => void;
  ended = false;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
    const child = Holder.#spawn();
    this.#channel = child.stdio[CHANNEL_FD] as Socket;
    child.unref();
    child.on('error', () => this.#end());
    child.on('exit', () => this.#end());
    this.#listen();
  }

  /** No argument and no environment of the app's: nothing to be seen in a process list, nothing to be configured. */
  static #spawn(): ChildProcess {
    return spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: {},
      cwd: '/',
      windowsHide: true,
    });
  }

  keep(pkcs8: Uint8Array): void {
    this.#send(keepRequest(pkcs8), () => undefined, true);
  }

  /** @param settle is called once; with `undefined` when this process ended before it had answered */
  ask(items: Items, settle: (result: Uint8Array | KeylessError | undefined) => void): void {
    this.#send(items, settle, false);
  }

  #send(
    items: Items,
    settle: (result: Uint8Array | KeylessError | undefined) => void,
    secret: boolean,
  ): void {
    const id = this.#pending.add((answer) => {
      if (answer instanceof KeylessError) settle(undefined);
      else if (answer.kind === 'result') settle(answer.payload);
      else settle(refused(answer.kind === 'error' ? answer.code : 0));
    });
    const frame = encodeFrame(id, items);
    this.#channel.write(frame, secret ? () => frame.fill(0) : undefined);
  }

  #listen(): void {
    const decoder = new FrameDecoder();
    this.#channel.on('data', (chunk: Buffer) => {
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        const answer = decodeAnswer(frame.items);
        if (answer !== undefined) this.#pending.settle(frame.id, answer);
      }
    });
    this.#channel.on('error', () => this.#end());
    this.#channel.on('close', () => this.#end());
    this.#channel.unref();
  }

  #end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#channel.destroy();
    this.#onEnd();
    this.#pending.fail(gone());
  }
}

function refused(code: number): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_OPERATION_FAILED',
    `The process that holds the keys answered with error ${code}.`,
  );
}

export class KeyProcess {
  #holders: Holder[] | undefined;

  /** Hands a key over. @param pkcs8 may be wiped when this returns */
  keep(pkcs8: Uint8Array): void {
    for (const holder of this.#start()) holder.keep(pkcs8);
  }

  /** Settles once. An operation whose process ended is repeated by the other one. */
  ask(items: Items): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const settle: Settle = (result) => (result instanceof KeylessError ? reject(result) : resolve(result));
      this.#ask(items, settle);
    });
  }

  #ask(items: Items, settle: Settle): void {
    const [holder] = this.#start();
    if (holder === undefined) {
      settle(gone());
      return;
    }
    holder.ask(items, (result) => {
      if (result === undefined) this.#ask(items, settle);
      else settle(result);
    });
  }

  #start(): readonly Holder[] {
    if (this.#holders === undefined) {
      const holders: Holder[] = [];
      this.#holders = holders;
      for (let index = 0; index < HOLDERS; index += 1) {
        const holder = new Holder(() => holders.splice(holders.indexOf(holder), 1));
        holders.push(holder);
      }
    }
    return this.#holders;
  }
}
