/**
 * One process that talks to a token, as its parent sees it: one task at a time.
 *
 * A process and not a thread: a call of a PKCS#11 module that hangs cannot be interrupted. A thread in it would keep the key server
 * from ending (measured: `process.exit` waits for it), and the module's locks and its login belong to the whole process.
 * A process can be killed, ends with its parent whatever it hangs in, and the next one begins with a fresh module; one that crashes
 * takes no key server along.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { TokenError, type TokenReply, type TokenResult, type TokenTask } from './token-tasks.ts';

interface Asked {
  resolve(result: TokenResult): void;
  reject(error: TokenError): void;
}

/** Not when it is loaded: in an app's bundle this file may be nowhere. */
function programFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`./token-process-main.${extension}`, import.meta.url));
}

/** PKCS#11 modules are configured by their environment; what Node preloads has no business beside the keys. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, NODE_CHANNEL_FD: __, ...rest } = process.env;
  return rest;
}

export class TokenProcess {
  readonly #child: ChildProcess;
  readonly #tether: Socket;
  #asked: Asked | undefined;
  #gone = false;
  /** Whether it has done anything since it was opened. */
  proven = false;

  /** @param onGone it ended without being killed */
  constructor(onGone: (process: TokenProcess) => void) {
    this.#child = fork(programFile(), [], {
      execArgv: [],
      env: environment(),
      serialization: 'advanced',
      // The last one is its tether: nothing is ever said there.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'],
    });
    this.#tether = this.#child.stdio[4] as Socket;
    this.#tether.unref();
    this.#child.on('message', (reply: TokenReply) => this.#settle(reply));
    const ended = () => {
      if (this.#gone) return;
      this.kill();
      onGone(this);
    };
    this.#child.on('error', ended).on('exit', ended).on('disconnect', ended);
  }

  /** Nothing else may be asked before this is answered. @throws (rejects) TokenError */
  ask(task: TokenTask): Promise<TokenResult> {
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(new TokenError('lost', 'The process of the token has ended'));
        return;
      }
      this.#asked = { resolve, reject };
      this.#child.ref();
      this.#child.channel?.ref();
      this.#child.send(task, () => undefined);
    });
  }

  kill(): void {
    this.#gone = true;
    this.#child.kill('SIGKILL');
    this.#tether.destroy();
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
    this.#settle({ failure: { reason: 'lost', message: 'The process of the token has ended' } });
  }

  #settle(reply: TokenReply): void {
    const asked = this.#asked;
    this.#asked = undefined;
    this.#child.unref();
    this.#child.channel?.unref();
    if ('failure' in reply) asked?.reject(new TokenError(reply.failure.reason, reply.failure.message));
    else asked?.resolve(reply.result);
  }
}
