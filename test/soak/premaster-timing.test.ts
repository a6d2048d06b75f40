/**
 * Whether a premaster was there cannot be told from the time its decryption takes: 100,000 samples, classes in random order,
 * the paired t-test on the times below the 90th percentile (where noise of the machine is least), |t| below 5. And the
 * same test finds a leak of two microseconds, so it would have found one.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { before, test } from 'node:test';
import { premasterOf } from '../../lib/server/premaster.ts';
import { rsaRawDecrypt } from '../../lib/signing/raw-rsa.ts';
import {
  BOUND,
  CLASSES,
  ciphertexts,
  POOL,
  shuffled,
  statistics,
  VERSION,
} from '../helpers/premaster-classes.ts';

let privateKey: KeyObject;
let publicKey: KeyObject;

before(() => {
  ({ privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 }));
});

const rejection = () => ({ premaster: randomBytes(48), otherVersion: randomBytes(48) });

type Decrypt = (ciphertext: Buffer) => void;

function decrypt(ciphertext: Buffer): void {
  premasterOf(rsaRawDecrypt(privateKey, ciphertext), VERSION, rejection());
}

/** @returns nanoseconds of each class */
function measure(
  work: Decrypt,
  perClass: number,
  names: readonly string[] = Object.keys(CLASSES),
): Map<string, Float64Array> {
  const inputs = new Map(names.map((name) => [name, ciphertexts(publicKey, CLASSES[name]!)]));
  const times = new Map(names.map((name) => [name, new Float64Array(perClass)]));
  for (let round = 0; round < perClass; round += 1) {
    for (const name of shuffled(names)) {
      const input = inputs.get(name)![round % POOL]!;
      const since = process.hrtime.bigint();
      work(input);
      times.get(name)![round] = Number(process.hrtime.bigint() - since);
    }
  }
  return times;
}

test('100,000 decryptions: no kind of bad premaster takes another time than a good one', () => {
  measure(decrypt, 400);
  for (const [name, t] of statistics(measure(decrypt, 20_000))) {
    assert.ok(Math.abs(t) < BOUND, `${name}: t = ${t.toFixed(2)}`);
  }
});

test('the same test finds a leak of two microseconds', () => {
  const leaky = (ciphertext: Buffer) => {
    const block = rsaRawDecrypt(privateKey, ciphertext);
    premasterOf(block, VERSION, rejection());
    const until = process.hrtime.bigint() + 2000n;
    if (block[1] !== 2) while (process.hrtime.bigint() < until);
  };
  measure(leaky, 400);
  // As many samples of a class as above: fewer would find it on a quiet machine only.
  const bad = 'no 0x02 at the start';
  const t = statistics(measure(leaky, 20_000, ['good', bad])).get(bad)!;
  assert.ok(t > BOUND, `t = ${t.toFixed(2)}`);
});
