/** Text that a peer sent, made safe for logs, errors and terminals. */

/** The longest name of a host there is (RFC 1035 §3.1). */
const MAX_BYTES = 255;

/** Printable ASCII but for the backslash. */
const PLAIN = /^[ -[\]-~]*$/;

/** A character for each octet. */
export function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/**
 * Printable ASCII as it is; everything else, and the backslash, as `\xNN`; cut after 255 bytes.
 *
 * @param bytes as they came, or text
 */
export function escapePeerText(bytes: Uint8Array | string): string {
  const text = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes;
  if (text.length <= MAX_BYTES) {
    const asItIs = latin1Of(text);
    if (PLAIN.test(asItIs)) return asItIs;
  }
  let escaped = '';
  for (const octet of text.subarray(0, MAX_BYTES)) {
    const plain = octet >= 0x20 && octet < 0x7f && octet !== 0x5c;
    escaped += plain ? String.fromCharCode(octet) : `\\x${octet.toString(16).padStart(2, '0')}`;
  }
  return text.length > MAX_BYTES ? `${escaped}…` : escaped;
}
