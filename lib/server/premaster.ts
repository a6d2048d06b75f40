/**
 * The premaster of an RSA key exchange out of the raw block, without telling anybody whether it was there
 * (RFC 5246 §7.4.7.1): bad padding gives another one, by the same steps as good padding gives the premaster.
 *
 * From there on, the one is treated as the other: if the version were looked at in premasters only that were there, asking with
 * two versions would tell.
 *
 * No branch and no index depends on the block. JavaScript promises nothing about time beyond that.
 */
import type { Rejection } from './implicit-rejection.ts';

const PREMASTER_BYTES = 48;
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

function otherVersion(premaster: Uint8Array, version: number | undefined): number {
  if (version === undefined) return 0;
  return (premaster[0]! ^ (version >> 8)) | (premaster[1]! ^ (version & 0xff));
}

/** @param bad zero: `good` is taken */
function select(bad: number, good: Uint8Array, otherwise: Uint8Array): Buffer {
  // All ones if it is good, zero if not.
  const mask = -isZero(bad) & 0xff;
  const selected = Buffer.alloc(PREMASTER_BYTES);
  for (let at = 0; at < PREMASTER_BYTES; at += 1) {
    selected[at] = (good[at]! & mask) | (otherwise[at]! & ~mask);
  }
  return selected;
}

/**
 * @param block of modulus size, at least 59 bytes: c^d mod n
 * @param clientVersion what the premaster must begin with; `undefined`: not checked here
 * @param rejection of the ciphertext, made before
 * @returns 48 bytes, always
 */
export function premasterOf(
  block: Uint8Array,
  clientVersion: number | undefined,
  rejection: Rejection,
): Buffer {
  const premasterAt = block.length - PREMASTER_BYTES;
  const premaster = select(badPadding(block, premasterAt), block.subarray(premasterAt), rejection.premaster);
  return select(otherVersion(premaster, clientVersion), premaster, rejection.otherVersion);
}
