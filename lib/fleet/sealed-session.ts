/**
 * A TLS session as it lies in a store that learns nothing: AES-256-GCM under a key derived from the leased ticket key of
 * its epoch, bound to its id. Whoever has no lease can neither read nor make one.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { LeasedKey } from './ticket-ring.ts';

const VERSION = 1;
const HEADER_BYTES = 9;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
/** Node hands out no larger session than 10 KiB. */
export const MAX_SEALED_BYTES = 16_384;
const CIPHER = 'aes-256-gcm';

/** @returns the name under which a store knows the session: 64 hexadecimal digits that tell nothing of the id */
export function sessionName(id: Uint8Array): string {
  return createHash('sha256').update('keyless-tls/1 session id').update(id).digest('hex');
}

function sealingKey({ key }: LeasedKey): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, 'keyless-tls/1 session store', '', KEY_BYTES));
}

function headerOf(epoch: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES, VERSION);
  header.writeBigUInt64BE(BigInt(epoch), 1);
  return header;
}

/**
 * Version (1), epoch (8), nonce (12), ciphertext, tag (16).
 *
 * @param name from {@link sessionName}: an entry that is moved under another name does not open
 */
export function sealSession(name: string, session: Uint8Array, key: LeasedKey): Buffer {
  const header = headerOf(key.epoch);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, sealingKey(key), nonce).setAAD(
    Buffer.concat([header, Buffer.from(name)]),
  );
  const body = [cipher.update(session), cipher.final()];
  return Buffer.concat([header, nonce, ...body, cipher.getAuthTag()]);
}

/** @returns `undefined`: it is no session of this name, or none that these keys open */
export function openSession(name: string, sealed: Buffer, keys: readonly LeasedKey[]): Buffer | undefined {
  if (sealed.length < OVERHEAD_BYTES || sealed.length > MAX_SEALED_BYTES) return undefined;
  const header = sealed.subarray(0, HEADER_BYTES);
  if (header[0] !== VERSION) return undefined;
  // Anybody may have written it: it is read as it is, and compared.
  const sealedIn = header.readBigUInt64BE(1);
  const key = keys.find(({ epoch }) => BigInt(epoch) === sealedIn);
  if (key === undefined) return undefined;
  const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, sealingKey(key), nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([header, Buffer.from(name)])).setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([
      decipher.update(sealed.subarray(HEADER_BYTES + NONCE_BYTES, -TAG_BYTES)),
      decipher.final(),
    ]);
  } catch {
    return undefined;
  }
}
