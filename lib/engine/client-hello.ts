/** What Node does not tell of a ClientHello (RFC 8446 §4.1.2). */

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
export const PRE_SHARED_KEY = 41;
const RECORD_HEADER_BYTES = 5;
/** Type and length of the message, legacy_version, random. */
const BYTES_BEFORE_SESSION_ID = 4 + 2 + 32;

/** Reads vectors one after the other; nothing of a peer's is trusted: what is cut off is empty. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  skip(bytes: number): void {
    this.#at += bytes;
  }

  number(bytes: 1 | 2): number {
    const at = this.#at;
    this.#at += bytes;
    return this.#at <= this.#bytes.length ? this.#bytes.readUIntBE(at, bytes) : 0;
  }

  /** @param lengthBytes of the length before it */
  vector(lengthBytes: 1 | 2): Buffer {
    const length = this.number(lengthBytes);
    const at = this.#at;
    this.#at += length;
    return this.#at <= this.#bytes.length ? this.#bytes.subarray(at, this.#at) : Buffer.alloc(0);
  }
}

function extensionsOf(hello: Buffer): Buffer {
  const reader = new Reader(hello);
  reader.skip(BYTES_BEFORE_SESSION_ID);
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  return reader.vector(2);
}

/**
 * @param bytes what came first on a connection, with the whole ClientHello in its first record
 * @returns the content of the extension (RFC 8446 §4.2); `undefined`: there is none, or this is no such message
 */
export function extensionIn(bytes: Buffer, type: number): Buffer | undefined {
  if (bytes[0] !== HANDSHAKE || bytes[RECORD_HEADER_BYTES] !== CLIENT_HELLO) return undefined;
  const record = new Reader(bytes);
  record.skip(RECORD_HEADER_BYTES - 2);
  const extensions = new Reader(extensionsOf(record.vector(2)));
  while (!extensions.isAtEnd) {
    const found = extensions.number(2);
    const content = extensions.vector(2);
    if (found === type) return content;
  }
  return undefined;
}

/**
 * @param offer content of a `pre_shared_key` extension of a client (RFC 8446 §4.2.11)
 * @returns the first identity: a ticket, or the name of a key; empty where there is none
 */
export function firstIdentity(offer: Buffer): Buffer {
  return new Reader(new Reader(offer).vector(2)).vector(2);
}
