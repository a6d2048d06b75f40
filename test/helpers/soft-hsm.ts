/** SoftHSM2 with tokens in a folder of its own, and keys that are generated inside them. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, type KeyObject } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pkcs11js from 'pkcs11js';
import { spkiOfEcPoint } from '../../lib/protocol/pkcs11-data.ts';

const LIBRARIES = ['/usr/lib/softhsm', ...readdirSync('/usr/lib').map((name) => `/usr/lib/${name}/softhsm`)];
export const SOFTHSM =
  LIBRARIES.map((folder) => `${folder}/libsofthsm2.so`).find(existsSync) ?? 'libsofthsm2.so';

export const PIN = '271828';
const CURVES = {
  p256: '06082a8648ce3d030107',
  p384: '06052b81040022',
  p521: '06052b81040023',
  k256: '06052b8104000a',
} as const;

export interface Generated {
  readonly type: keyof typeof CURVES | 'rsa';
  readonly label: string;
  /** CKA_ID of both halves; default: a byte that no other key has. */
  readonly id?: Buffer;
  /** Of the public half, where it is another one. */
  readonly publicId?: Buffer;
  readonly sign?: boolean;
  readonly decrypt?: boolean;
}

let nextId = 1;

export class SoftHsm {
  readonly folder = mkdtempSync(join(tmpdir(), 'keyless-tls-hsm-'));

  /** For this process and those that it starts. */
  constructor() {
    const tokens = join(this.folder, 'tokens');
    mkdirSync(tokens);
    const config = join(this.folder, 'softhsm2.conf');
    writeFileSync(
      config,
      `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
    process.env.SOFTHSM2_CONF = config;
  }

  addToken(label: string, pin = PIN): void {
    this.#tool('--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', '314159');
  }

  removeToken(label: string): void {
    this.#tool('--delete-token', '--token', label);
  }

  /** Made in the token, and not to be had out of it. @returns the public halves */
  generate(token: string, keys: readonly Generated[]): KeyObject[] {
    const module = new pkcs11js.PKCS11();
    module.load(SOFTHSM);
    module.C_Initialize();
    try {
      const slot = module
        .C_GetSlotList(true)
        .find((each) => module.C_GetTokenInfo(each).label.trim() === token);
      const session = module.C_OpenSession(slot!, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
      module.C_Login(session, pkcs11js.CKU_USER, PIN);
      return keys.map((key) => generateOne(module, session, key));
    } finally {
      module.C_Finalize();
      module.close();
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #tool(...args: readonly string[]): void {
    execFileSync('softhsm2-util', args, { stdio: 'ignore' });
  }
}

function generateOne(module: pkcs11js.PKCS11, session: pkcs11js.Handle, key: Generated): KeyObject {
  const { type, label, sign = true, decrypt = false } = key;
  const id = key.id ?? Buffer.of(nextId++);
  const isRsa = type === 'rsa';
  const size = isRsa
    ? [
        { type: pkcs11js.CKA_MODULUS_BITS, value: 2048 },
        { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
      ]
    : [{ type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from(CURVES[type], 'hex') }];
  const both = [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_LABEL, value: label },
  ];
  const mechanism = isRsa ? pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN : pkcs11js.CKM_EC_KEY_PAIR_GEN;
  const { publicKey } = module.C_GenerateKeyPair(
    session,
    { mechanism },
    [...both, ...size, { type: pkcs11js.CKA_ID, value: key.publicId ?? id }],
    [
      ...both,
      { type: pkcs11js.CKA_ID, value: id },
      { type: pkcs11js.CKA_PRIVATE, value: true },
      { type: pkcs11js.CKA_SENSITIVE, value: true },
      { type: pkcs11js.CKA_EXTRACTABLE, value: false },
      { type: pkcs11js.CKA_SIGN, value: sign },
      { type: pkcs11js.CKA_DECRYPT, value: decrypt },
    ],
  );
  const read = (attribute: number) =>
    module.C_GetAttributeValue(session, publicKey, [{ type: attribute }])[0]!.value as Buffer;
  if (isRsa) {
    const n = read(pkcs11js.CKA_MODULUS).toString('base64url');
    return createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
  }
  const spki = spkiOfEcPoint(Buffer.from(CURVES[type], 'hex'), read(pkcs11js.CKA_EC_POINT));
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** The processes that this one has started and that run. */
export function childPids(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}
