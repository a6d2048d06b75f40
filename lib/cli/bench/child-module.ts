/** A module of this folder as a process of its own, which answers one message with one. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../../errors.ts';
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

  /** @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION if the process has ended, or ends instead of answering */
  ask<T>(message: object): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) return reject(this.#gone);
      this.#waiting = { resolve: resolve as Waiting['resolve'], reject };
      // Whether it could be sent is told by its end.
      this.#child.send(message, () => undefined);
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #end(how: string): void {
    const text = `A process of the benchmark (${this.#name}) has ended: ${how}.`;
    this.#gone ??= new KeylessError('ERR_KEYLESS_CONNECTION', text);
    this.#settle()?.reject(this.#gone);
    this.#tellGone(this.#gone);
  }
}
