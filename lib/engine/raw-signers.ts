/** What signs and hashes in the addon, as it hands it out: native/binding_signers.cc. */

/** The addon's own, of createMessageHash. */
declare const RAW_MESSAGE_HASH: unique symbol;
export type RawMessageHash = { readonly [RAW_MESSAGE_HASH]: true };

/** The addon's own, of createDigestSigner. */
declare const RAW_DIGEST_SIGNER: unique symbol;
export type RawDigestSigner = { readonly [RAW_DIGEST_SIGNER]: true };

/**
 * @param signatures of a whole go, one after the other
 * @param sizes how many bytes each has; 0: it failed
 */
export type TakeSignatures = (
  id: number,
  signatures: Buffer,
  sizes: readonly number[],
  cpuMs: number,
) => void;
