/** A module of this folder as a process of its own, which answers one message with one. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../../errors.ts';
import { watchStandstill } from '../standstill.ts';
import { environmentForChildren } from './environment.ts';

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Owner: whoever made it; `end()` ends it. Nothing is asked before the last answer is there. States: alive -> gone. */
export class ChildModule {
  readonly #child: ChildProcess;
  readonly #name: string;
  #waiting: Waiting | undefined;
  #gone: KeylessError | undefined;
  #tellGone: (error: KeylessError) => void = () => undefined;
  /** Rejects when the process ends, for whatever reason. */
  readonly gone: Promise<never>;

  /** @param name file beside this one; @param execArgv options of node */
  constructor(name: string, execArgv: readonly string[] = []) {
    this.#name = name;
    this.gone = new Promise((_, reject) => (this.#tellGone = reject));
    this.gone.catch(() => undefined);
    const options = { execArgv: [...execArgv], env: environmentForChildren() };
    const child = fork(fileURLToPath(new URL(name, import.meta.url)), options);
    child.on('message', (value) => this.#settle()?.resolve(value));
    child.on('error', (error) => this.#end(error.message));
    child.on('exit', (code, signal) => this.#end(signal ?? `exit code ${code}`));
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /**
   * @param lengthMs for which it was told to go on
   * @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION if the process has ended, or ends instead of answering; where it stands still, it
   *   is ended
   */
  ask<T>(message: object, lengthMs = 0): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      if (this.#gone !== undefined) return reject(this.#gone);
      this.#waiting = { resolve: resolve as Waiting['resolve'], reject };
      // Whether it could be sent is told by its end.
      this.#child.send(message, () => undefined);
    });
    return answer.finally(watchStandstill(lengthMs, (seconds) => this.#giveUp(seconds)));
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  /** Who stands still cannot be told from here: it may be another one that this one waits for. */
  #giveUp(seconds: number): void {
    this.#gone ??= this.#error(
      `has not answered for ${seconds} s: it stands still, or what it waits for does`,
    );
    this.end();
    this.#settle()?.reject(this.#gone);
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #end(how: string): void {
    this.#gone ??= this.#error(`has ended: ${how}`);
    this.#settle()?.reject(this.#gone);
    this.#tellGone(this.#gone);
  }

  #error(what: string): KeylessError {
    return new KeylessError('ERR_KEYLESS_CONNECTION', `A process of the benchmark (${this.#name}) ${what}.`);
  }
}
