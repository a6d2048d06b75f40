/** Finds empty lines in bytes that come in pieces: only behind one can a head of HTTP/1.1 end (RFC 9112 §2.1, §2.2). */
export const LF = 0x0a;
export const CR = 0x0d;

function isBlank(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (bytes[at] !== CR) return false;
  return true;
}

export class EmptyLines {
  /** Whether nothing but CR has come since the last LF. */
  #blank = false;

  /** What comes next begins a line. */
  reset(): void {
    this.#blank = false;
  }

  /** @returns how many bytes there are up to the end of the first empty line, or all of them */
  sizeUpTo(bytes: Buffer): number {
    let start = 0;
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, start)) {
      const empty = this.#blank && isBlank(bytes, start, at);
      start = at + 1;
      this.#blank = true;
      if (empty) return start;
    }
    this.#blank &&= isBlank(bytes, start, bytes.length);
    return bytes.length;
  }
}
