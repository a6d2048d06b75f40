/**
 * Whether a premaster was there cannot be told from the time that the key server takes for its answer: 100,000 samples of all that comes
 * between a request and its answer, classes in random order, the paired t-test on the times below the 90th percentile (where
 * noise of the machine is least), |t| below 5. And the same test finds a leak of a few microseconds, so it would have found one.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { before, test } from 'node:test';
import type { Asking } from '../../lib/server/asking.ts';
import { EVERYTHING } from '../../lib/server/grants.ts';
import type { StoredKey } from '../../lib/server/key-store.ts';
import { Operations } from '../../lib/server/operations.ts';
import { keyStoreOf } from '../../lib/server/pem-directory.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import { policyOf } from '../../lib/server/policy.ts';
import {
  BOUND,
  CLASSES,
  ciphertexts,
  POOL,
  shuffled,
  statistics,
  VERSION,
} from '../helpers/premaster-classes.ts';

const PER_CLASS = 20_000;
/** Of the leak that is found. */
const LEAK_NS = 5000n;

let publicKey: KeyObject;
let key: StoredKey;

before(() => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  publicKey = pair.publicKey;
  key = pemKey(pair.privateKey, 'a test');
});

const asking: Asking = {
  ...{ client: 'edge', ours: true, key: undefined, repeats: false },
  ...{ grant: () => EVERYTHING, wanted: () => true, waitedMs: () => 0 },
};

type Decrypt = (ciphertext: Buffer) => Promise<void>;

/** As a session has it done. */
function decryptWith(stored: StoredKey): Decrypt {
  const operations = new Operations(
    keyStoreOf([stored]),
    policyOf({ allowDecrypt: 'every-key' }),
    undefined,
    128,
  );
  const selector = { keyId: stored.keyId, certificateDigest: undefined };
  return async (ciphertext) => {
    const request = { selector, ciphertext, clientVersion: VERSION, servername: undefined };
    const premaster = await operations.decrypt({ kind: 'premaster', ...request }, asking);
    assert.equal(premaster.length, 48);
  };
}

/** @returns nanoseconds of each class */
async function measure(
  decrypt: Decrypt,
  perClass: number,
  names: readonly string[] = Object.keys(CLASSES),
): Promise<Map<string, Float64Array>> {
  const inputs = new Map(names.map((name) => [name, ciphertexts(publicKey, CLASSES[name]!)]));
  const times = new Map(names.map((name) => [name, new Float64Array(perClass)]));
  for (let round = 0; round < perClass; round += 1) {
    for (const name of shuffled(names)) {
      const input = inputs.get(name)![round % POOL]!;
      const since = process.hrtime.bigint();
      await decrypt(input);
      times.get(name)![round] = Number(process.hrtime.bigint() - since);
    }
  }
  return times;
}

test('100,000 decryptions: no kind of bad premaster takes another time than a good one', async () => {
  const decrypt = decryptWith(key);
  await measure(decrypt, 400);
  for (const [name, t] of statistics(await measure(decrypt, PER_CLASS))) {
    assert.ok(Math.abs(t) < BOUND, `${name}: t = ${t.toFixed(2)}`);
  }
});

test('the same test finds a leak of five microseconds', async () => {
  const decryptRaw = async (ciphertext: Uint8Array) => {
    const block = await key.decryptRaw!(ciphertext);
    const until = process.hrtime.bigint() + LEAK_NS;
    if (block[1] !== 2) while (process.hrtime.bigint() < until);
    return block;
  };
  const decrypt = decryptWith({ ...key, decryptRaw });
  await measure(decrypt, 400);
  // As many samples of a class as above: fewer would find it on a quiet machine only.
  const bad = 'no 0x02 at the start';
  const t = statistics(await measure(decrypt, PER_CLASS, ['good', bad])).get(bad)!;
  assert.ok(t > BOUND, `t = ${t.toFixed(2)}`);
});
