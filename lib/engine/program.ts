/** What becomes of this process in the end: another program, or nothing. */
import { getSystemErrorName } from 'node:util';
import { addon } from './addon.ts';

/**
 * Ends all that runs here, and does not return: the process goes on as the other program, with its number, its parent, its
 * standard streams and `process.env` as it is now. Whoever signals it, or waits for it, has to do with that program.
 *
 * @param words the program, looked for in PATH unless there is a slash in it, and its arguments
 * @throws Error with `code`, as those of node:child_process: it cannot be started; this process should end soon
 */
export function becomeProgram(words: readonly Uint8Array[]): never {
  const code = getSystemErrorName(-addon().becomeProgram(words));
  throw Object.assign(new Error(code), { code });
}

/**
 * Ends this process at once, whatever its threads wait for: `process.exit` waits for those of libuv. No handler of `exit` runs, and
 * what streams have not written is lost.
 *
 * @param code 0 to 255
 */
export function endProcess(code: number): never {
  return addon().endProcess(code);
}
