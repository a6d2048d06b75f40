/** One of the processes that hold the keys of an app, seen from the app. */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { PendingRequests } from '../client/pending-requests.ts';
import { KeylessError } from '../errors.ts';
import { decodeAnswer } from '../protocol/answers.ts';
import { FrameDecoder } from '../protocol/frame-decoder.ts';
import { encodeFrame } from '../protocol/frame-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import { CHANNEL_FD, takeHolderChild } from './holder-child.ts';
import { keepRequest, MAX_UNANSWERED } from './key-channel.ts';
import { SilenceWatch } from './silence-watch.ts';

/** A process that has answered nothing for this long, though it was asked, is taken for stopped. */
const SILENCE_MS = 1000;

/** Called once. `undefined`: ask the other process, this one will not answer. */
export type OnResult = (result: Uint8Array | KeylessError | undefined) => void;

export interface KeyHolderEvents {
  onEnd(): void;
  /** @returns whether what it has not answered may be asked elsewhere */
  onSilence(): boolean;
}

export function keysGone(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    'The process that held the keys has ended. Start the app again.',
  );
}

function refused(code: number): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_OPERATION_FAILED',
    `The process that holds the keys answered with error ${code}.`,
  );
}

function full(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_CONNECTION',
    `The process that holds the keys has ${MAX_UNANSWERED} operations to answer. Is it stopped?`,
  );
}

/** States: serving <-> silent (it may be stopped, and may be continued) -> ended. */
export class KeyHolder {
  readonly #child: ChildProcess;
  readonly #channel: Socket;
  readonly #pending = new PendingRequests();
  readonly #decoder = new FrameDecoder();
  readonly #events: KeyHolderEvents;
  readonly #watch = new SilenceWatch(SILENCE_MS, {
    waits: () => !this.#ended && this.#pending.waiting > 0,
    onSilence: () => this.#fallSilent(),
  });
  #ended = false;
  silent = false;

  /** @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started */
  constructor(events: KeyHolderEvents) {
    this.#events = events;
    this.#child = takeHolderChild();
    this.#channel = this.#child.stdio[CHANNEL_FD] as Socket;
    this.#child.on('error', () => this.#end());
    this.#child.on('exit', () => this.#end());
    this.#channel.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#channel.on('error', () => this.#end());
    this.#channel.on('close', () => this.#end());
  }

  /** What it has not answered is answered elsewhere, or not at all. */
  end(): void {
    this.#end();
  }

  keep(pkcs8: Uint8Array): void {
    const frame = encodeFrame(
      this.#pending.add(() => undefined),
      keepRequest(pkcs8),
    );
    this.#channel.write(frame, () => frame.fill(0));
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
    this.#channel.write(encodeFrame(id, items));
  }

  #read(chunk: Buffer): void {
    this.#watch.heard();
    this.silent = false;
    this.#decoder.push(chunk);
    try {
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
        const answer = decodeAnswer(frame.items);
        if (answer !== undefined) this.#pending.settle(frame.id, answer);
      }
    } catch {
      this.#end();
    }
  }

  #fallSilent(): void {
    this.silent = true;
    if (this.#events.onSilence()) this.#pending.abandon(keysGone());
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch.stop();
    this.#channel.destroy();
    this.#child.kill('SIGKILL');
    this.#events.onEnd();
    this.#pending.fail(keysGone());
  }
}
