/** Another program in the place of this process. */
import { getSystemErrorName } from 'node:util';
import { addon } from './addon.ts';

/**
 * Ends all that runs here, and does not return: the process goes on as the other program, with its number, its parent, its
 * standard streams and `process.env` as it is now. Whoever signals it, or waits for it, has to do with that program.
 *
 * @param program looked for in PATH, unless there is a slash in it
 * @throws Error with `code`, as those of node:child_process: it cannot be started; this process should end soon
 */
export function becomeProgram(program: string, args: readonly string[]): never {
  const code = getSystemErrorName(-addon().becomeProgram([program, ...args]));
  throw Object.assign(new Error(code), { code });
}
