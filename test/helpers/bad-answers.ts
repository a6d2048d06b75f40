/** What a PrivateKey may do wrong when it is asked to sign, whichever role it has. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { KeylessError, localKey, type PrivateKey } from '../../lib/index.ts';

/** A key over `keyPem` that behaves badly once and well from then on. */
export function onceBad(keyPem: string, bad: PrivateKey['sign'], more: Partial<PrivateKey> = {}): PrivateKey {
  const good = localKey(keyPem);
  let first = true;
  return {
    ...more,
    sign(operation) {
      if (!first) return good.sign(operation);
      first = false;
      return bad(operation);
    },
  };
}

const wrongKeys = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  ed25519: generateKeyPairSync('ed25519').privateKey,
};

/** One thing a PrivateKey does wrong, and the code of the error it becomes. */
export interface BadAnswer {
  readonly what: string;
  readonly type: keyof typeof wrongKeys;
  readonly sign: PrivateKey['sign'];
  readonly code: string;
  readonly more?: Partial<PrivateKey>;
}

export const never = new Promise<Uint8Array>(() => {});
/** What TypeScript would not let a PrivateKey answer. */
export const answer = (value: unknown) => value as Uint8Array;

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

class Unmeasured extends Uint8Array {
  override get byteLength(): number {
    return assert.fail('read');
  }
}

export const BAD_ANSWERS: readonly BadAnswer[] = [
  {
    what: 'throws',
    type: 'rsa',
    sign: () => {
      throw new Error('no');
    },
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'throws a string',
    type: 'rsa',
    sign: () => {
      throw 'no';
    },
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'rejects',
    type: 'p256',
    sign: () => Promise.reject(new Error('no')),
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'rejects with nothing',
    type: 'p256',
    sign: () => Promise.reject(undefined),
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'throws what throws when it is read',
    type: 'p256',
    sign: () => {
      throw new Proxy(new Error('no'), { get: () => assert.fail('read') });
    },
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'throws what cannot be looked at',
    type: 'p256',
    sign: () => {
      throw revoked();
    },
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'rejects with what cannot be looked at',
    type: 'rsa',
    sign: () => Promise.reject(revoked()),
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'returns too few bytes that do not say how many they are',
    type: 'rsa',
    sign: () => new Unmeasured(3),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'throws a frozen error of ours',
    type: 'rsa',
    sign: () => {
      throw Object.freeze(new KeylessError('ERR_KEYLESS_OPERATION_FAILED', 'no'));
    },
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'returns what throws when it is read',
    type: 'p256',
    sign: () => answer(new Proxy({}, { get: () => assert.fail('read') })),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'returns a promise that throws when it is read',
    type: 'p256',
    sign: () => answer(new Proxy({}, { has: () => assert.fail('read') })),
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'returns a promise whose then() throws',
    type: 'p256',
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what it is about
    sign: () => answer({ then: () => assert.fail('called') }),
    code: 'ERR_KEYLESS_OPERATION_FAILED',
  },
  {
    what: 'returns what only says that it is bytes',
    type: 'rsa',
    sign: () => Object.create(Uint8Array.prototype),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  { what: 'returns null', type: 'rsa', sign: () => answer(null), code: 'ERR_KEYLESS_BAD_RESULT' },
  { what: 'returns undefined', type: 'p256', sign: () => answer(undefined), code: 'ERR_KEYLESS_BAD_RESULT' },
  {
    what: 'resolves to a string',
    type: 'rsa',
    sign: () => Promise.resolve(answer('signature')),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'returns an ArrayBuffer',
    type: 'rsa',
    sign: () => answer(new ArrayBuffer(256)),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  { what: 'returns nothing', type: 'rsa', sign: () => Buffer.alloc(0), code: 'ERR_KEYLESS_BAD_RESULT' },
  { what: 'returns nothing', type: 'p256', sign: () => Buffer.alloc(0), code: 'ERR_KEYLESS_BAD_RESULT' },
  {
    what: 'returns a byte too few',
    type: 'rsa',
    sign: () => Buffer.alloc(255),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'returns a byte too many',
    type: 'rsa',
    sign: () => Buffer.alloc(257),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  { what: 'returns 64 KiB', type: 'p256', sign: () => Buffer.alloc(65_536), code: 'ERR_KEYLESS_BAD_RESULT' },
  {
    what: 'returns what is not DER',
    type: 'p256',
    sign: () => Buffer.alloc(70, 0x41),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'returns a byte too many',
    type: 'ed25519',
    sign: () => Buffer.alloc(65),
    code: 'ERR_KEYLESS_BAD_RESULT',
  },
  {
    what: 'signs with another key',
    type: 'rsa',
    sign: (operation) => localKey(wrongKeys.rsa).sign(operation),
    code: 'ERR_KEYLESS_BAD_SIGNATURE',
  },
  {
    what: 'signs with another key',
    type: 'p256',
    sign: (operation) => localKey(wrongKeys.p256).sign(operation),
    code: 'ERR_KEYLESS_BAD_SIGNATURE',
  },
  {
    what: 'signs with another key and is verified',
    type: 'p256',
    sign: (operation) => localKey(wrongKeys.p256).sign(operation),
    code: 'ERR_KEYLESS_BAD_SIGNATURE',
    more: { verify: 'always' },
  },
  {
    what: 'signs with another key',
    type: 'ed25519',
    sign: (operation) => localKey(wrongKeys.ed25519).sign(operation),
    code: 'ERR_KEYLESS_BAD_SIGNATURE',
  },
  {
    what: 'never answers',
    type: 'rsa',
    sign: () => never,
    code: 'ERR_KEYLESS_TIMEOUT',
    more: { timeoutMs: 500 },
  },
];
