/** What makes a request for a signature what it is: two with the same name, of one client, are one request, sent again. */
import type { SignRequest } from '../protocol/request-decoder.ts';

const [HAS_MESSAGE, HAS_SERVERNAME] = [1, 2] as const;
const DIGEST_AT = 2;

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Its members are `private` to TypeScript only: every operation makes one, and Node 20 is slow with `#` members. */
export class RequestName {
  private readonly method: number;
  private readonly parts: number;
  private readonly digest: Uint8Array;
  private readonly keyId: Uint8Array;
  private readonly servername: Uint8Array | undefined;
  readonly length: number;

  /**
   * @param keyId of the key that it came to
   * @param digest SHA-256 of the message, or the digest that came without one
   */
  constructor({ method, message, servername }: SignRequest, keyId: Uint8Array, digest: Uint8Array) {
    // Of the methods without an opcode, a key has one at most.
    this.method = method.opcode ?? 0;
    this.parts = (message === undefined ? 0 : HAS_MESSAGE) | (servername === undefined ? 0 : HAS_SERVERNAME);
    this.digest = digest;
    this.keyId = keyId;
    this.servername = servername;
    this.length = DIGEST_AT + digest.length + keyId.length + (servername?.length ?? 0);
  }

  write(into: Uint8Array, at: number): void {
    into[at] = this.method;
    into[at + 1] = this.parts;
    const keyAt = at + DIGEST_AT + this.digest.length;
    into.set(this.digest, at + DIGEST_AT);
    into.set(this.keyId, keyAt);
    if (this.servername !== undefined) into.set(this.servername, keyAt + this.keyId.length);
  }

  /** Whether it is of the same request. */
  equals(other: RequestName): boolean {
    return (
      isSame(this.digest, other.digest) &&
      isSame(this.keyId, other.keyId) &&
      this.method === other.method &&
      this.parts === other.parts &&
      (this.servername === undefined || isSame(this.servername, other.servername!))
    );
  }

  bytes(): Buffer {
    const bytes = Buffer.allocUnsafe(this.length);
    this.write(bytes, 0);
    return bytes;
  }
}
