/** `NODE_OPTIONS` in words, as Node.js reads it (20 to 26): blanks between words, double quotes, backslashes within these. */

const WORD = /(?:[^ "]|"(?:\\.|[^"\\])*")+/gs;
const QUOTED = /"((?:\\.|[^"\\])*)"/gs;

export function wordsOf(nodeOptions: string): string[] {
  const words = nodeOptions.match(WORD) ?? [];
  return words.map((word) => word.replace(QUOTED, (_, text: string) => text.replace(/\\(.)/gs, '$1')));
}

/** @param value of an option that may hold blanks, quotes and backslashes */
export function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

export function nodeOptionsOf(words: readonly string[]): string {
  return words.map((word) => (/[ "\\]/.test(word) ? quoted(word) : word)).join(' ');
}
