/**
 * The way to an SSH agent: a Unix socket on which one request at a time is asked and answered, in order.
 *
 * The protocol has no ids: when an answer is late or is none, all that comes after it could be anybody's. So the connection
 * ends with it, and the next request opens another. Requests wait in a bounded queue, each for its own time.
 */
import { createConnection, type Socket } from 'node:net';
import type { Alarm, Clock } from '../../clock.ts';
import { KeylessError } from '../../errors.ts';
import { takeAgentAnswer } from '../../protocol/ssh-agent.ts';

export interface AgentConnectionOptions {
  /** Of the Unix socket. */
  readonly path: string;
  /** Milliseconds that a request may take, from the asking to the answer. */
  readonly timeoutMs: number;
  /** Requests that may wait for those before them. */
  readonly maxWaiting: number;
  readonly clock: Clock;
}

interface Question {
  readonly request: Buffer;
  /** @throws for what is no answer to it */
  take(answer: Buffer): void;
  reject(error: Error): void;
  alarm: Alarm;
  /** A connection that has been open for a while may turn out to be dead: that is found out once. */
  retried: boolean;
}

const NOTHING = Buffer.alloc(0);

export class AgentConnection {
  readonly #options: AgentConnectionOptions;
  readonly #waiting: Question[] = [];
  #current: Question | undefined;
  #socket: Socket | undefined;
  /** Of the answer that is coming. */
  #received: Buffer = NOTHING;
  /** Whether this socket has answered before. */
  #proven = false;
  #closed = false;

  constructor(options: AgentConnectionOptions) {
    this.#options = options;
  }

  /**
   * @param decode throws for what is no answer to the request
   * @throws (rejects) ERR_KEYLESS_KEY_STORE
   */
  ask<T>(request: Buffer, decode: (answer: Buffer) => T): Promise<T> {
    if (this.#closed) return Promise.reject(this.#error('was closed'));
    if (this.#waiting.length >= this.#options.maxWaiting) {
      return Promise.reject(this.#error(`does not keep up: ${this.#waiting.length} requests wait already`));
    }
    return new Promise((resolve, reject) => {
      const question: Question = {
        request,
        take: (answer) => resolve(decode(answer)),
        reject,
        retried: false,
        alarm: this.#options.clock.after(this.#options.timeoutMs, () => this.#giveUp(question)),
      };
      this.#waiting.push(question);
      this.#next();
    });
  }

  close(): void {
    this.#closed = true;
    for (const question of this.#waiting.splice(0)) this.#fail(question, this.#error('was closed'));
    this.#drop(this.#error('was closed'));
  }

  #error(what: string, cause?: unknown): KeylessError {
    return new KeylessError('ERR_KEYLESS_KEY_STORE', `The SSH agent at ${this.#options.path} ${what}.`, {
      cause,
    });
  }

  #fail(question: Question, error: Error): void {
    question.alarm.cancel();
    question.reject(error);
  }

  #giveUp(question: Question): void {
    const late = this.#error(`did not answer within ${this.#options.timeoutMs} ms`);
    if (question === this.#current) {
      this.#drop(late);
      this.#next();
      return;
    }
    const at = this.#waiting.indexOf(question);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#fail(question, late);
  }

  #next(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) {
      this.#socket?.unref();
      return;
    }
    this.#socket ??= this.#connect();
    this.#socket.ref();
    this.#socket.write(this.#current.request);
  }

  #connect(): Socket {
    const socket = createConnection({ path: this.#options.path });
    this.#proven = false;
    this.#received = NOTHING;
    let reason: Error | undefined;
    socket.on('error', (error) => {
      reason = error;
    });
    socket.on('data', (chunk: Buffer) => {
      if (socket === this.#socket) this.#read(chunk);
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (socket === this.#socket) this.#onGone(reason);
    });
    return socket;
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const question = this.#current;
    try {
      if (question === undefined) throw new Error('it answers what nobody asked');
      const answer = takeAgentAnswer(this.#received);
      if (answer === undefined) return;
      question.take(answer);
    } catch (cause) {
      const why = (cause as Error).message.replace(/\.$/, '');
      this.#drop(this.#error(`does not speak its protocol: ${why}`, cause));
      this.#next();
      return;
    }
    question.alarm.cancel();
    this.#received = NOTHING;
    this.#proven = true;
    this.#current = undefined;
    this.#next();
  }

  #onGone(cause: Error | undefined): void {
    this.#socket = undefined;
    const question = this.#current;
    if (question !== undefined && this.#proven && !question.retried && this.#received.length === 0) {
      question.retried = true;
      this.#current = undefined;
      this.#waiting.unshift(question);
    } else {
      const why = cause === undefined ? 'ended the connection' : `cannot be reached: ${cause.message}`;
      this.#drop(this.#error(why, cause));
    }
    this.#next();
  }

  /** Ends the connection, and with it the request that was asked on it. */
  #drop(error: KeylessError): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    const question = this.#current;
    this.#current = undefined;
    if (question !== undefined) this.#fail(question, error);
  }
}
