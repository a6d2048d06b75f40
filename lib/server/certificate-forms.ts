/**
 * What a certificate is, and what only looks like another one: the signature of an authority is not signed, and whoever has a certificate
 * can write some in more forms, which are as valid and have other fingerprints. ECDSA: `n - s` for `s` (SEC 1, section 4.1; `n` is
 * the order of the authority's curve). RSASSA-PSS: without zeros that it begins with, which OpenSSL does not miss.
 */
import { BIT_STRING, INTEGER, readElement, SEQUENCE } from '../protocol/der.ts';
import { bitString, integer, objectIdentifier, sequence } from '../protocol/der-writer.ts';

/** Of the curves that authorities have; of which of them an `s` is does not matter, a form of another one is nobody's certificate. */
const ORDERS: readonly bigint[] = [
  // P-224, P-256, P-384, P-521: SP 800-186, section 3.2.1.
  0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn,
  0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  // secp256k1: SEC 2, section 2.4.1.
  0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  // brainpoolP256, P384, P512, r1 and t1: RFC 5639, section 3.
  0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n,
  0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n,
  0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n,
];

interface Parts {
  /** What the authority has signed. */
  readonly signed: Buffer;
  readonly algorithm: Buffer;
  /** The content of the bit string, without the octet of unused bits. */
  readonly signature: Buffer;
}

function partsOf(der: Buffer): Parts {
  const signed = readElement(readElement(der, SEQUENCE).content, SEQUENCE);
  const algorithm = readElement(signed.rest, SEQUENCE);
  const signature = readElement(algorithm.rest, BIT_STRING).content.subarray(1);
  return { signed: signed.whole, algorithm: algorithm.whole, signature };
}

/** @returns `undefined`: it is no signature of ECDSA (RFC 3279, section 2.2.3) */
function ecdsaOf(signature: Buffer): { readonly r: Buffer; readonly s: bigint } | undefined {
  try {
    const r = readElement(readElement(signature, SEQUENCE).content, INTEGER);
    const s = readElement(r.rest, INTEGER).content;
    return { r: r.whole, s: BigInt(`0x${s.toString('hex')}`) };
  } catch {
    return undefined;
  }
}

function integerOf(value: bigint): Buffer {
  const digits = value.toString(16);
  return integer(Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex'));
}

/** RFC 4055, section 2.1. */
const RSASSA_PSS = objectIdentifier('1.2.840.113549.1.1.10');
/** Each is 256 times rarer than the one before, and nobody but the authority chooses. */
const MOST_ZEROS = 4;

/** How long the whole one is, only the authority's key says. */
function pssForms(signature: Buffer): readonly Buffer[] {
  const zeros = signature.findIndex((byte) => byte !== 0);
  const least = signature.subarray(zeros);
  const forms = Array.from({ length: MOST_ZEROS + 1 }, (_, count) =>
    Buffer.concat([Buffer.alloc(count), least]),
  );
  return forms.filter((form) => !form.equals(signature));
}

function ecdsaForms(signature: Buffer): readonly Buffer[] {
  const ecdsa = ecdsaOf(signature);
  if (ecdsa === undefined) return [];
  const { r, s } = ecdsa;
  return ORDERS.filter((order) => s < order).map((order) => sequence(r, integerOf(order - s)));
}

/** What is the same in all forms of a certificate. @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function signedPart(der: Buffer): Buffer {
  return partsOf(der).signed;
}

/**
 * Each form that whoever has this certificate can make of it, among others that are none.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function otherForms(der: Buffer): readonly Buffer[] {
  const { signed, algorithm, signature } = partsOf(der);
  const isPss = readElement(algorithm, SEQUENCE).content.subarray(0, RSASSA_PSS.length).equals(RSASSA_PSS);
  const forms = isPss ? pssForms(signature) : ecdsaForms(signature);
  return forms.map((form) => sequence(signed, algorithm, bitString(form)));
}
