/** The private keys of an open token, and what it does with them. Every call blocks, see token-library.ts. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import type { Handle, Mechanism, PKCS11, RsaPSS } from 'pkcs11js';
import { subjectKeyId } from '../../protocol/key-id.ts';
import { ecdsaDerOfPlain, spkiOfEcPoint } from '../../protocol/pkcs11-data.ts';
import type { HashName } from '../../protocol/schemes.ts';
import { type OpenToken, returnCode, tokenError } from './token-library.ts';
import { type SignTask, TokenError, type TokenKey, type TokenMechanism } from './token-tasks.ts';

const CKO = { CERTIFICATE: 1, PUBLIC_KEY: 2, PRIVATE_KEY: 3 } as const;
const CKK = { RSA: 0, EC: 3 } as const;
const CKA = {
  CLASS: 0x000,
  TOKEN: 0x001,
  LABEL: 0x003,
  VALUE: 0x011,
  KEY_TYPE: 0x100,
  ID: 0x102,
  DECRYPT: 0x105,
  SIGN: 0x108,
  MODULUS: 0x120,
  PUBLIC_EXPONENT: 0x122,
  EC_PARAMS: 0x180,
  EC_POINT: 0x181,
  ALWAYS_AUTHENTICATE: 0x202,
} as const;
const CKM: Readonly<Record<TokenMechanism, number>> = {
  'rsa-pkcs1': 0x0001,
  'rsa-raw': 0x0003,
  'rsa-pss': 0x000d,
  ecdsa: 0x1041,
};
const CKF_DECRYPT = 0x200;
const CKF_SIGN = 0x800;
const CKU_CONTEXT_SPECIFIC = 2;
const CK_PARAMS_RSA_PSS = 5;
/** CKM_SHA256 and CKG_MGF1_SHA256, and so on. */
const PSS_HASHES: Readonly<Partial<Record<HashName, readonly [hashAlg: number, mgf: number]>>> = {
  sha256: [0x250, 2],
  sha384: [0x260, 3],
  sha512: [0x270, 4],
};
/** 16,384 bits. */
const MAX_OUTPUT_BYTES = 2048;
const MAX_KEYS = 4096;
const FIND_AT_ONCE = 64;

/** Of a task, not of the token: data, key, mechanism, parameters that do not fit together, or a key that may not. */
const REFUSALS: readonly number[] = [0x20, 0x21, 0x40, 0x41, 0x62, 0x63, 0x68, 0x70, 0x71, 0x200];
/** Of a ciphertext that a module does not like. Some say nothing else of it than that they, or the function, failed. */
const BAD_INPUT: readonly number[] = [0x05, 0x06, 0x20, 0x21, 0x40, 0x41];

interface KnownKey {
  readonly handle: Handle;
  readonly alwaysAuthenticate: boolean;
}

function reasonOf(error: unknown, decrypts: boolean): 'refused' | 'input' | 'lost' {
  const code = returnCode(error);
  if (decrypts && BAD_INPUT.includes(code)) return 'input';
  return REFUSALS.includes(code) ? 'refused' : 'lost';
}

function isTrue(value: Buffer | undefined): boolean {
  return value !== undefined && value.length > 0 && value[0] !== 0;
}

export class TokenSession {
  readonly #module: PKCS11;
  readonly #session: Handle;
  readonly #pin: string | undefined;
  readonly #mechanisms: readonly TokenMechanism[];
  #known: ReadonlyMap<string, KnownKey> = new Map();

  /** @param pin for keys that ask for it at each use */
  constructor({ module, slot, session }: OpenToken, pin: string | undefined) {
    this.#module = module;
    this.#session = session;
    this.#pin = pin;
    const names = Object.keys(CKM) as TokenMechanism[];
    this.#mechanisms = names.filter((name) => this.#has(slot, name));
  }

  /** Looks at all private keys, and remembers them. @throws TokenError */
  list(): TokenKey[] {
    try {
      const known = new Map<string, KnownKey>();
      const keys = this.#find(CKO.PRIVATE_KEY).map((handle) => this.#describe(handle, known));
      this.#known = known;
      return keys;
    } catch (error) {
      throw tokenError('lost', 'The keys of the token cannot be listed', error);
    }
  }

  /** @throws TokenError */
  sign({ keyId, mechanism, hash, input }: SignTask): Uint8Array {
    const key = this.#key(keyId);
    return this.#performing('sign', () => {
      this.#module.C_SignInit(this.#session, mechanismOf(mechanism, hash), key.handle);
      this.#authenticate(key);
      const output = Buffer.alloc(MAX_OUTPUT_BYTES);
      const signature = this.#module.C_Sign(this.#session, Buffer.from(input), output);
      return mechanism === 'ecdsa' ? ecdsaDerOfPlain(signature) : Uint8Array.from(signature);
    });
  }

  /** c^d mod n, of modulus size. @throws TokenError */
  decryptRaw(keyId: string, ciphertext: Uint8Array): Uint8Array {
    const key = this.#key(keyId);
    return this.#performing('decrypt', () => {
      this.#module.C_DecryptInit(this.#session, { mechanism: CKM['rsa-raw'] }, key.handle);
      this.#authenticate(key);
      const output = Buffer.alloc(MAX_OUTPUT_BYTES);
      return Uint8Array.from(this.#module.C_Decrypt(this.#session, Buffer.from(ciphertext), output));
    });
  }

  #performing<T>(what: 'sign' | 'decrypt', work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw tokenError(reasonOf(error, what === 'decrypt'), `The token did not ${what}`, error);
    }
  }

  /** Keys may have come since the last look. */
  #key(keyId: string): KnownKey {
    if (!this.#known.has(keyId)) this.list();
    const key = this.#known.get(keyId);
    if (key !== undefined) return key;
    throw new TokenError('refused', 'The key is not in the token any more');
  }

  #authenticate({ alwaysAuthenticate }: KnownKey): void {
    if (alwaysAuthenticate) this.#module.C_Login(this.#session, CKU_CONTEXT_SPECIFIC, this.#pin);
  }

  #has(slot: Handle, name: TokenMechanism): boolean {
    try {
      const { flags } = this.#module.C_GetMechanismInfo(slot, CKM[name]);
      return (flags & (name === 'rsa-raw' ? CKF_DECRYPT : CKF_SIGN)) !== 0;
    } catch {
      return false;
    }
  }

  #find(type: number, id?: Buffer): Handle[] {
    const template = [
      { type: CKA.CLASS, value: type },
      { type: CKA.TOKEN, value: true },
      ...(id === undefined ? [] : [{ type: CKA.ID, value: id }]),
    ];
    const found: Handle[] = [];
    this.#module.C_FindObjectsInit(this.#session, template);
    try {
      for (;;) {
        const handles = this.#module.C_FindObjects(this.#session, FIND_AT_ONCE);
        found.push(...handles);
        if (handles.length === 0 || found.length >= MAX_KEYS) return found;
      }
    } finally {
      this.#module.C_FindObjectsFinal(this.#session);
    }
  }

  /** @returns `undefined`: the object has no such attribute, or does not show it */
  #read(handle: Handle, type: number): Buffer | undefined {
    try {
      const [attribute] = this.#module.C_GetAttributeValue(this.#session, handle, [{ type }]);
      return attribute?.value as Buffer | undefined;
    } catch (error) {
      // CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID
      if (returnCode(error) === 0x11 || returnCode(error) === 0x12) return undefined;
      throw error;
    }
  }

  #describe(handle: Handle, known: Map<string, KnownKey>): TokenKey {
    const label = this.#read(handle, CKA.LABEL) ?? Buffer.alloc(0);
    const id = this.#read(handle, CKA.ID) ?? Buffer.alloc(0);
    try {
      const publicKey = this.#publicKey(handle, id);
      const alwaysAuthenticate = isTrue(this.#read(handle, CKA.ALWAYS_AUTHENTICATE));
      known.set(subjectKeyId(publicKey).toString('hex'), { handle, alwaysAuthenticate });
      return { label, id, publicKey, mechanisms: this.#mechanismsOf(handle) };
    } catch (error) {
      // What the token says of the session must not pass for a property of the key.
      if (returnCode(error) !== 0) throw error;
      return { label, id, publicKey: (error as Error).message, mechanisms: [] };
    }
  }

  #mechanismsOf(handle: Handle): TokenMechanism[] {
    const signs = isTrue(this.#read(handle, CKA.SIGN));
    const decrypts = isTrue(this.#read(handle, CKA.DECRYPT));
    return this.#mechanisms.filter((name) => (name === 'rsa-raw' ? decrypts : signs));
  }

  /** DER. @throws Error with the reason why there is none */
  #publicKey(handle: Handle, id: Buffer): Buffer {
    const type = this.#read(handle, CKA.KEY_TYPE)?.readUInt32LE(0);
    if (type === CKK.RSA) return this.#rsaPublicKey(handle);
    if (type === CKK.EC) return this.#ecPublicKey(handle, id);
    throw new Error(`it is neither RSA nor EC, but of type ${type?.toString(16) ?? 'none'}`);
  }

  #rsaPublicKey(handle: Handle): Buffer {
    const n = this.#read(handle, CKA.MODULUS);
    const e = this.#read(handle, CKA.PUBLIC_EXPONENT);
    if (n === undefined || e === undefined || e.length === 0) throw new Error('it does not show its modulus');
    const jwk = { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
    return createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'der' });
  }

  /** The private key of an EC pair does not show its point: the public key or the certificate of the same id does. */
  #ecPublicKey(handle: Handle, id: Buffer): Buffer {
    const parameters = this.#read(handle, CKA.EC_PARAMS);
    const own = this.#read(handle, CKA.EC_POINT);
    const [pair] = own !== undefined || id.length === 0 ? [] : this.#find(CKO.PUBLIC_KEY, id);
    const point = own ?? (pair && this.#read(pair, CKA.EC_POINT));
    if (parameters !== undefined && point !== undefined) {
      const key = spkiOfEcPoint(parameters, point);
      return createPublicKey({ key, format: 'der', type: 'spki' }).export({ type: 'spki', format: 'der' });
    }
    const [certificate] = id.length === 0 ? [] : this.#find(CKO.CERTIFICATE, id);
    const der = certificate && this.#read(certificate, CKA.VALUE);
    if (der === undefined) throw new Error('neither a public key nor a certificate of the same id is there');
    return new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' });
  }
}

function mechanismOf(name: TokenMechanism, hash: HashName): Mechanism {
  const mechanism = CKM[name];
  if (name !== 'rsa-pss') return { mechanism };
  const [hashAlg, mgf] = PSS_HASHES[hash] ?? [];
  if (hashAlg === undefined || mgf === undefined) throw new TokenError('refused', `No RSA-PSS with ${hash}`);
  const saltLen = Number(hash.slice(3)) / 8;
  const parameter: RsaPSS = { type: CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen };
  return { mechanism, parameter };
}
