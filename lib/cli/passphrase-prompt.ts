/** Asks for a passphrase on the terminal that a command was started from, without showing it. */
import type { ReadStream } from 'node:tty';
import { UsageError } from './command.ts';

const MAX_CHARACTERS = 1024;
/** Ctrl-D ends a line, too. */
const ENTER = ['\r', '\n', '\u0004'];
const CTRL_C = '\u0003';
const ERASE = ['\b', '\u007f'];
const CTRL_U = '\u0015';

/** The line so far, after one more character. */
function typed(line: string, character: string): string {
  if (ERASE.includes(character)) return [...line].slice(0, -1).join('');
  if (character === CTRL_U) return '';
  return line.length < MAX_CHARACTERS ? line + character : line;
}

/**
 * @param input a terminal; it is left as it was
 * @param tell shows text there
 * @returns what was typed before Enter
 * @throws UsageError (rejects) where it was ended (Ctrl-C) or nothing was typed
 */
function readHidden(input: ReadStream, question: string, tell: (text: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = '';
    const end = (error?: UsageError) => {
      input.off('data', take);
      input.setRawMode(false);
      input.pause();
      tell('\n');
      if (error === undefined) resolve(line);
      else reject(error);
    };
    const take = (text: string) => {
      for (const character of text) {
        if (character === CTRL_C) return end(noPassphrase('it was ended'));
        if (ENTER.includes(character))
          return end(line === '' ? noPassphrase('nothing was typed') : undefined);
        line = typed(line, character);
      }
    };
    input.setEncoding('utf8').setRawMode(true);
    input.on('data', take).resume();
    // Not before: what is typed at once would be shown.
    tell(question);
  });
}

function noPassphrase(why: string): UsageError {
  return new UsageError(`There is no passphrase: ${why}.`, 'keyless-tls serve --help');
}

/** @throws UsageError (rejects) if there is no terminal, or no passphrase */
export function askPassphrase(question: string): Promise<string> {
  if (!process.stdin.isTTY) {
    return Promise.reject(
      new UsageError(
        '--ask-passphrase needs a terminal. Without one, give --passphrase-file.',
        'keyless-tls serve --help',
      ),
    );
  }
  // Standard output is for lines, and may be a file.
  const tell = (text: string) => void process.stderr.write(text);
  return readHidden(process.stdin, question, tell);
}
