/**
 * The end of a command that has nothing left to do. What keeps its process then is what does not answer: a write that nobody reads,
 * or a file on a disk that hangs, in a thread of libuv for which `process.exit` waits, too.
 */
import { endProcess } from '../engine/program.ts';
import { setInterval } from '../timers.ts';

/** For what is said on standard error. */
const LAST_WORDS_MS = 500;

/** Ends the process with the exit code that main.ts sets, soon after that, if it has not ended by itself. */
export function endSoon(): void {
  setInterval(() => {
    if (process.exitCode !== undefined) endProcess(Number(process.exitCode));
  }, LAST_WORDS_MS).unref();
}
