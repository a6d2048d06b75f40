/** Messages that TLS servers and clients sign, of the exact forms. */
import { createECDH, randomBytes } from 'node:crypto';

/** RFC 8446 §4.4.3. @param hashBytes 32 or 48 */
export function certificateVerify(role: 'server' | 'client' = 'server', hashBytes = 32): Buffer {
  const context = Buffer.from(`TLS 1.3, ${role} CertificateVerify\0`);
  return Buffer.concat([Buffer.alloc(64, 0x20), context, randomBytes(hashBytes)]);
}

/** RFC 8422 §5.4. @param group code point of the named group, in two bytes */
export function serverKeyExchange(group: number, point: Buffer): Buffer {
  return Buffer.concat([randomBytes(64), Buffer.from([3, group >> 8, group & 0xff, point.length]), point]);
}

/** An uncompressed point. @param curve OpenSSL's name */
export function randomPoint(curve: string): Buffer {
  return createECDH(curve).generateKeys();
}

/** TLS 1.2's ServerKeyExchange with X25519. */
export function x25519Exchange(): Buffer {
  return serverKeyExchange(29, randomBytes(32));
}
