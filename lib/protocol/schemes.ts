/**
 * Signature schemes on the wire: which opcode asks for each (docs/protocol.md, "Opcodes"), and what it means.
 *
 * The names are those of RFC 8446 §4.2.3, and of lib/keys/private-key.ts, which a test compares with this table.
 */

export type HashName = 'md5-sha1' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';
export type Algorithm = 'rsa-pkcs1' | 'rsa-pss' | 'ecdsa' | 'ed25519' | 'ed448';

/** What a key does to sign: the wire does not tell schemes apart that differ only in the certificate's key. */
export interface SigningMethod {
  readonly algorithm: Algorithm;
  /** `undefined`: the algorithm hashes the message itself. */
  readonly hash: HashName | undefined;
  /** `undefined`: it is a custom function, `sign:` and the scheme's name. */
  readonly opcode: number | undefined;
}

function method(algorithm: Algorithm, hash?: HashName, opcode?: number): SigningMethod {
  return { algorithm, hash, opcode };
}

const ECDSA_SHA256 = method('ecdsa', 'sha256', 0x15);
const ECDSA_SHA384 = method('ecdsa', 'sha384', 0x16);
const ECDSA_SHA512 = method('ecdsa', 'sha512', 0x17);
const PSS_SHA256 = method('rsa-pss', 'sha256', 0x35);
const PSS_SHA384 = method('rsa-pss', 'sha384', 0x36);
const PSS_SHA512 = method('rsa-pss', 'sha512', 0x37);

export const SIGNING_METHODS = {
  rsa_pkcs1_md5_sha1: method('rsa-pkcs1', 'md5-sha1', 0x02),
  rsa_pkcs1_sha1: method('rsa-pkcs1', 'sha1', 0x03),
  rsa_pkcs1_sha224: method('rsa-pkcs1', 'sha224', 0x04),
  rsa_pkcs1_sha256: method('rsa-pkcs1', 'sha256', 0x05),
  rsa_pkcs1_sha384: method('rsa-pkcs1', 'sha384', 0x06),
  rsa_pkcs1_sha512: method('rsa-pkcs1', 'sha512', 0x07),
  rsa_pss_rsae_sha256: PSS_SHA256,
  rsa_pss_rsae_sha384: PSS_SHA384,
  rsa_pss_rsae_sha512: PSS_SHA512,
  rsa_pss_pss_sha256: PSS_SHA256,
  rsa_pss_pss_sha384: PSS_SHA384,
  rsa_pss_pss_sha512: PSS_SHA512,
  ecdsa_sha1: method('ecdsa', 'sha1', 0x13),
  ecdsa_sha224: method('ecdsa', 'sha224', 0x14),
  ecdsa_sha256: ECDSA_SHA256,
  ecdsa_sha384: ECDSA_SHA384,
  ecdsa_sha512: ECDSA_SHA512,
  ecdsa_secp256r1_sha256: ECDSA_SHA256,
  ecdsa_secp384r1_sha384: ECDSA_SHA384,
  ecdsa_secp521r1_sha512: ECDSA_SHA512,
  ed25519: method('ed25519', undefined, 0x18),
  ed448: method('ed448'),
} as const satisfies Record<string, SigningMethod>;

export type SchemeName = keyof typeof SIGNING_METHODS;

/** ECDSA over MD5 and SHA-1: the wire has an opcode for it, TLS has no use for it. */
const ECDSA_MD5_SHA1 = method('ecdsa', 'md5-sha1', 0x12);

const BY_OPCODE = new Map<number, SigningMethod>([[0x12, ECDSA_MD5_SHA1]]);
const BY_FUNCTION = new Map<string, SigningMethod>();
for (const [name, info] of Object.entries<SigningMethod>(SIGNING_METHODS)) {
  if (info.opcode === undefined) BY_FUNCTION.set(`sign:${name}`, info);
  else BY_OPCODE.set(info.opcode, info);
}

/** @returns `undefined` if the opcode does not sign */
export function methodOfOpcode(opcode: number): SigningMethod | undefined {
  return BY_OPCODE.get(opcode);
}

/** @param name of a custom function; @returns `undefined` if it does not sign */
export function methodOfFunction(name: string): SigningMethod | undefined {
  return BY_FUNCTION.get(name);
}

/** The custom function that signs with a scheme without an opcode. */
export function functionOfScheme(scheme: SchemeName): string {
  return `sign:${scheme}`;
}

/** Names of the custom functions that sign. */
export const SIGNING_FUNCTIONS: readonly string[] = [...BY_FUNCTION.keys()];
