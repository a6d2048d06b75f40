/**
 * The premaster of an RSA key exchange out of the raw block, without telling anybody whether it was there
 * (RFC 5246 §7.4.7.1): bad padding gives 48 random bytes, by the same steps as good padding gives the premaster.
 *
 * No branch and no index depends on the block. JavaScript promises nothing about time beyond that.
 */

export const PREMASTER_BYTES = 48;
/** 0x00 0x02, eight bytes of padding, 0x00, and the premaster. */
export const MIN_BLOCK_BYTES = 11 + PREMASTER_BYTES;

/** 1 if the octet is zero, else 0. */
function isZero(octet: number): number {
  return (octet - 1) >>> 31;
}

/** Anything but zero if the block is not 0x00 0x02, non-zero octets, 0x00, and 48 bytes. */
function badPadding(block: Uint8Array, premasterAt: number): number {
  let bad = block[0]! | (block[1]! ^ 0x02) | block[premasterAt - 1]!;
  for (let at = 2; at < premasterAt - 1; at += 1) bad |= isZero(block[at]!);
  return bad;
}

function badVersion(block: Uint8Array, premasterAt: number, version: number | undefined): number {
  if (version === undefined) return 0;
  return (block[premasterAt]! ^ (version >> 8)) | (block[premasterAt + 1]! ^ (version & 0xff));
}

/**
 * @param block of modulus size, at least 59 bytes: c^d mod n
 * @param clientVersion what the premaster must begin with; `undefined`: not checked here
 * @param random 48 bytes, drawn before, the result if the padding is bad
 * @returns 48 bytes, always
 */
export function premasterOf(
  block: Uint8Array,
  clientVersion: number | undefined,
  random: Uint8Array,
): Buffer {
  const premasterAt = block.length - PREMASTER_BYTES;
  const bad = badPadding(block, premasterAt) | badVersion(block, premasterAt, clientVersion);
  // All ones if it is good, zero if not.
  const good = -isZero(bad) & 0xff;
  const premaster = Buffer.alloc(PREMASTER_BYTES);
  for (let at = 0; at < PREMASTER_BYTES; at += 1) {
    premaster[at] = (block[premasterAt + at]! & good) | (random[at]! & ~good);
  }
  return premaster;
}
