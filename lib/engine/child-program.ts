/** A program that this thread has started, and that does not outlive it (Linux; elsewhere it sees that its channel has ended). */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type Clock, systemClock } from '../clock.ts';
import { addon } from './addon.ts';

const FIRST_LOOK_MS = 1;
const LONGEST_LOOK_MS = 1000;

/** @param result as of endChildProgram() */
function howOf(result: number): ProgramEnd {
  if (result >= 0) return { code: result, signal: undefined };
  const [name] = Object.entries(constants.signals).find(([, number]) => number === -result) ?? [];
  return { code: undefined, signal: name ?? `signal ${-result}` };
}

/** How a program ended: one of the two. */
export interface ProgramEnd {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** Owner: who starts it, who also closes the channel. States: running -> ended. */
export class ChildProgram {
  /** The descriptor of this end of a socket pair, whose other end is the program's descriptor 3. */
  readonly channel: number;
  readonly #pid: number;

  /**
   * In a session of its own, with `/` as its directory, without standard streams, and with no descriptor of this process's but
   * the channel and, on Linux, what ties it to this process (native/tether.h).
   *
   * @param program its path
   * @throws Error with `code`, as those of node:child_process: it cannot be started
   */
  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    // First: where there is none, what is given here may not be right either.
    const { startChildProgram } = addon();
    const words = [program, ...args].map((word) => Buffer.from(word));
    const environment = Object.entries(env).map(([name, value]) => Buffer.from(`${name}=${value}`));
    const started = startChildProgram(words, environment);
    if (typeof started === 'number') {
      const code = getSystemErrorName(-started);
      throw Object.assign(new Error(code), { code });
    }
    [this.#pid, this.channel] = started;
  }

  /**
   * Kills it, if it has not ended by itself.
   *
   * @param onEnd told once, when it is gone; never, where the system does not let it end
   */
  end(onEnd: (how: ProgramEnd) => void, clock: Clock = systemClock): void {
    const look = (nextMs: number) => {
      const result = addon().endChildProgram(this.#pid);
      if (result !== undefined) onEnd(howOf(result));
      else clock.after(nextMs, () => look(Math.min(2 * nextMs, LONGEST_LOOK_MS)));
    };
    look(FIRST_LOOK_MS);
  }
}
