/**
 * The parity harness: a scenario runs natively, then with every private key elsewhere and answered in several ways,
 * and must tell the same story each time.
 *
 * A scenario gets a {@link Side} and returns its transcript: plain data, in the order in which things happened.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import https from 'node:https';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import * as keylessHttp2 from '../../lib/http2.ts';
import * as keylessHttps from '../../lib/https.ts';
import type { OperationResult, PrivateKey } from '../../lib/index.ts';
import * as keyless from '../../lib/index.ts';
import type { Issued } from './certificates.ts';

/** How a remote key answers: at once, on the next turn of the loop, or after 20 to 50 ms. */
export type AnswerMode = 'sync' | 'turn' | 'delayed';

export const ANSWER_MODES: readonly AnswerMode[] = ['sync', 'turn', 'delayed'];

/** What a scenario works with. */
export interface Side {
  readonly mode: AnswerMode | 'native';
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

/** A side whose keys are PrivateKey objects. */
export function remoteSide(mode: AnswerMode): Side {
  let operations = 0;
  const keys = new Map<string, PrivateKey>();
  const key = ({ keyPem }: Issued): string => {
    const known = keys.get(keyPem);
    const made = known ?? remoteKey(keyPem, mode, () => (operations += 1));
    keys.set(keyPem, made);
    return made as unknown as string;
  };
  return {
    mode,
    tls: keyless as unknown as Side['tls'],
    https: keylessHttps as unknown as Side['https'],
    http2: keylessHttp2 as unknown as Side['http2'],
    key,
    operations: () => operations,
  };
}

type Scenario = (side: Side) => Promise<unknown>;

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
    });
    for (const mode of ANSWER_MODES) {
      it(`with the key answered ${mode}`, async () => {
        const side = remoteSide(mode);
        assert.deepEqual(await scenario(side), native);
        if (operations !== undefined) assert.equal(side.operations(), operations, 'private-key operations');
      });
    }
  });
}
