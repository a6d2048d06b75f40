/** A module of this folder as a process of its own, which answers one message with one. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../../errors.ts';

/** Owner: whoever made it; `end()` ends it. Nothing is asked before the last answer is there. */
export class ChildModule {
  readonly #child: ChildProcess;
  readonly #name: string;

  /** @param name file beside this one; @param execArgv options of node */
  constructor(name: string, execArgv: readonly string[] = []) {
    this.#name = name;
    this.#child = fork(fileURLToPath(new URL(name, import.meta.url)), { execArgv: [...execArgv] });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION if the process ends instead of answering; it has said why */
  async ask<T>(message: object): Promise<T> {
    const done = new AbortController();
    const { signal } = done;
    const ended = once(this.#child, 'exit', { signal }).then(() => {
      const text = `A process of the benchmark (${this.#name}) has ended; see above.`;
      throw new KeylessError('ERR_KEYLESS_CONNECTION', text);
    });
    // It may have ended before anybody asked.
    ended.catch(() => undefined);
    try {
      const answer = once(this.#child, 'message', { signal });
      answer.catch(() => undefined);
      this.#child.send(message);
      const [value] = (await Promise.race([answer, ended])) as [T];
      return value;
    } finally {
      done.abort();
    }
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
