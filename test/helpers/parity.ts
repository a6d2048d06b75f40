/**
 * The parity harness: a scenario runs natively, then with every private key elsewhere and answered in several ways,
 * and must tell the same story each time.
 *
 * A scenario gets a {@link Side} and returns its transcript: plain data, in the order in which things happened.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import https from 'node:https';
import { after, describe, it } from 'node:test';
import tls from 'node:tls';
import * as keylessHttp2 from '../../lib/http2.ts';
import * as keylessHttps from '../../lib/https.ts';
import type { OperationResult, PrivateKey } from '../../lib/index.ts';
import * as keyless from '../../lib/index.ts';
import type { Issued } from './certificates.ts';
import { closeKeyServers, keyOnServers, storeKey } from './key-server-side.ts';

/** How a key in this process answers: at once, on the next turn of the loop, or after 20 to 50 ms. */
export type AnswerMode = 'sync' | 'turn' | 'delayed';
/** Where the keys of a side are. */
export type SideName = AnswerMode | 'native' | 'key server';

export const ANSWER_MODES: readonly AnswerMode[] = ['sync', 'turn', 'delayed'];
export const REMOTE_SIDES: readonly Exclude<SideName, 'native'>[] = [...ANSWER_MODES, 'key server'];

/** What a scenario works with. */
export interface Side {
  readonly mode: SideName;
  /** node:tls, or ours. */
  readonly tls: Pick<typeof tls, 'createServer' | 'connect' | 'createSecureContext'>;
  readonly https: Pick<typeof https, 'createServer' | 'request' | 'get' | 'Agent'>;
  readonly http2: Pick<typeof http2, 'createSecureServer' | 'connect'>;
  /** The `key` option for a certificate. Typed as what node:tls takes, whatever it is. */
  key(issued: Issued): string;
  /** Private-key operations so far; natively always `undefined`. */
  operations(): number | undefined;
}

function later(mode: AnswerMode, work: () => OperationResult): OperationResult {
  if (mode === 'sync') return work();
  return new Promise((resolve, reject) => {
    const answer = () => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    };
    if (mode === 'turn') setImmediate(answer);
    else setTimeout(answer, 20 + Math.random() * 30);
  });
}

/** A PrivateKey over a PEM that answers in the given manner. */
export function remoteKey(keyPem: string, mode: AnswerMode, onOperation: () => void = () => {}): PrivateKey {
  const local = keyless.localKey(keyPem, { sync: true });
  const { decrypt } = local;
  return {
    publicKey: local.publicKey,
    sign(operation) {
      onOperation();
      return later(mode, () => local.sign(operation));
    },
    decrypt:
      decrypt &&
      ((operation) => {
        onOperation();
        return later(mode, () => decrypt(operation));
      }),
  };
}

function nativeSide(): Side {
  return { mode: 'native', tls, https, http2, key: ({ keyPem }) => keyPem, operations: () => undefined };
}

function keylessSide(mode: SideName, key: (issued: Issued) => PrivateKey, operations: () => number): Side {
  return {
    mode,
    tls: keyless as unknown as Side['tls'],
    https: keylessHttps as unknown as Side['https'],
    http2: keylessHttp2 as unknown as Side['http2'],
    key: (issued) => key(issued) as unknown as string,
    operations,
  };
}

/** A side whose keys are PrivateKey objects in this process, one for each certificate. */
export function remoteSide(mode: AnswerMode): Side {
  let operations = 0;
  const keys = new Map<string, PrivateKey>();
  const key = ({ keyPem }: Issued): PrivateKey => {
    const made = keys.get(keyPem) ?? remoteKey(keyPem, mode, () => (operations += 1));
    keys.set(keyPem, made);
    return made;
  };
  return keylessSide(mode, key, () => operations);
}

/** A side whose keys are on key servers: one PrivateKey object for all certificates. */
async function keyServerSide(): Promise<Side> {
  let operations = 0;
  const everyKey = await keyOnServers(() => (operations += 1));
  const key = ({ keyPem }: Issued): PrivateKey => {
    storeKey(keyPem);
    return everyKey;
  };
  return keylessSide('key server', key, () => operations);
}

/** @returns a side with no operations counted yet */
export async function sideNamed(name: SideName): Promise<Side> {
  if (name === 'native') return nativeSide();
  return name === 'key server' ? keyServerSide() : remoteSide(name);
}

after(closeKeyServers);

export type Scenario = (side: Side) => Promise<unknown>;

/**
 * Runs a scenario on one side and compares.
 *
 * @param native its transcript natively
 * @param operations how many private-key operations it needs; `undefined`: not looked at
 */
export async function tellsTheSame(
  scenario: Scenario,
  name: Exclude<SideName, 'native'>,
  native: unknown,
  operations?: number,
): Promise<void> {
  const side = await sideNamed(name);
  assert.deepEqual(await scenario(side), native);
  if (operations !== undefined) assert.equal(side.operations(), operations, 'private-key operations');
}

/**
 * Tests that a scenario's transcript does not depend on where the keys are.
 *
 * @param operations how many private-key operations it needs; `undefined`: not looked at
 */
export function parity(name: string, scenario: Scenario, operations?: number): void {
  describe(name, () => {
    let native: unknown;
    it('natively', async () => {
      native = await scenario(nativeSide());
      assert.ok(native !== undefined, 'a scenario tells something');
    });
    for (const mode of REMOTE_SIDES) {
      const where = mode === 'key server' ? 'on a key server' : `answered ${mode}`;
      it(`with the key ${where}`, () => tellsTheSame(scenario, mode, native, operations));
    }
  });
}
