/** Arguments as this process was given them: Node.js has made text of them, which they need not be. */
import { readFileSync } from 'node:fs';

/** As the system has them (Linux; elsewhere nothing). */
function ownArguments(): Buffer[] {
  try {
    // Each one ends with a zero byte, which no argument contains; latin1 keeps all bytes.
    return readFileSync('/proc/self/cmdline', 'latin1')
      .split('\0')
      .slice(0, -1)
      .map((text) => Buffer.from(text, 'latin1'));
  } catch {
    return [];
  }
}

/**
 * @param words the last arguments of this process
 * @returns their bytes; where they are not to be had, those of the text
 */
export function argumentBytes(words: readonly string[]): Buffer[] {
  const last = ownArguments().slice(-words.length);
  const areThese = last.length === words.length && last.every((bytes, at) => bytes.toString() === words[at]);
  return areThese ? last : words.map((word) => Buffer.from(word));
}
