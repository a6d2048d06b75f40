/** What PKCS#11 has in forms of its own (v2.40, Current Mechanisms §2.3): EC points and ECDSA signatures, as DER for TLS. */
import { readElement } from './der.ts';
import { bitString, integer, objectIdentifier, sequence } from './der-writer.ts';

const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const OCTET_STRING = 0x04;

/** The point in its OCTET STRING (§2.3.3); some tokens leave that out, and a bare point begins with the same octet. */
function bare(point: Buffer): Buffer {
  try {
    const { content, rest } = readElement(point, OCTET_STRING);
    return rest.length === 0 && content[0] === OCTET_STRING ? content : point;
  } catch {
    return point;
  }
}

/**
 * @param parameters CKA_EC_PARAMS
 * @param point CKA_EC_POINT
 * @returns DER SubjectPublicKeyInfo (RFC 5480 §2); whether it is a key is for who reads it
 */
export function spkiOfEcPoint(parameters: Buffer, point: Buffer): Buffer {
  return sequence(sequence(objectIdentifier(EC_PUBLIC_KEY), parameters), bitString(bare(point)));
}

function shortest(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((octet) => octet !== 0);
  return bytes.subarray(first < 0 ? bytes.length - 1 : first);
}

/** @param plain r and s of the same length (§2.3.1). @returns DER; whether it verifies is another question */
export function ecdsaDerOfPlain(plain: Uint8Array): Buffer {
  const half = plain.length >> 1;
  return sequence(integer(shortest(plain.subarray(0, half))), integer(shortest(plain.subarray(half))));
}
