/**
 * Whether a premaster was there cannot be told from the time its decryption takes: 100,000 samples, classes in random order,
 * the paired t-test on the times below the 90th percentile (where noise of the machine is least), |t| below 5. And the
 * same test finds a leak of two microseconds, so it would have found one.
 */
import assert from 'node:assert/strict';
import {
  constants,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  randomInt,
} from 'node:crypto';
import { before, test } from 'node:test';
import { premasterOf } from '../../lib/server/premaster.ts';
import { rsaRawDecrypt } from '../../lib/signing/raw-rsa.ts';

const MODULUS_BYTES = 256;
const VERSION = 0x0303;
const POOL = 64;
const BOUND = 5;
const QUANTILE = 0.9;

let privateKey: KeyObject;
let publicKey: KeyObject;

before(() => {
  ({ privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 }));
});

/** PKCS#1 v1.5 around 48 bytes (RFC 8017 §7.2.1), before a class breaks it. */
function goodBlock(): Buffer {
  const padding = Buffer.from(Array.from({ length: MODULUS_BYTES - 51 }, () => randomInt(1, 256)));
  const premaster = randomBytes(48);
  premaster.writeUInt16BE(VERSION);
  return Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), premaster]);
}

const CLASSES: Readonly<Record<string, (block: Buffer) => void>> = {
  good: () => undefined,
  'wrong version': (block) => void block.writeUInt16BE(0x0302, MODULUS_BYTES - 48),
  'no 0x02 at the start': (block) => void block.fill(1, 1, 2),
  'a zero early in the padding': (block) => void block.fill(0, 2, 3),
  'no zero before the premaster': (block) => void block.fill(1, MODULUS_BYTES - 49, MODULUS_BYTES - 48),
};

function ciphertexts(breakIt: (block: Buffer) => void): Buffer[] {
  return Array.from({ length: POOL }, () => {
    const block = goodBlock();
    breakIt(block);
    return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block);
  });
}

type Decrypt = (ciphertext: Buffer) => void;

function decrypt(ciphertext: Buffer): void {
  premasterOf(rsaRawDecrypt(privateKey, ciphertext), VERSION, randomBytes(48));
}

/** @returns nanoseconds of each class */
function measure(
  work: Decrypt,
  perClass: number,
  names: readonly string[] = Object.keys(CLASSES),
): Map<string, Float64Array> {
  const inputs = new Map(names.map((name) => [name, ciphertexts(CLASSES[name]!)]));
  const times = new Map(names.map((name) => [name, new Float64Array(perClass)]));
  for (let round = 0; round < perClass; round += 1) {
    const order = names.map((name) => ({ name, at: Math.random() })).sort((a, b) => a.at - b.at);
    for (const { name } of order) {
      const input = inputs.get(name)![round % POOL]!;
      const since = process.hrtime.bigint();
      work(input);
      times.get(name)![round] = Number(process.hrtime.bigint() - since);
    }
  }
  return times;
}

function moments(values: readonly number[]): { count: number; mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count: values.length, mean, variance: squares / (values.length - 1) };
}

/**
 * The paired t of each class against the good one: both of a round are timed within a millisecond, so that what slows a
 * machine for longer than that does not count. A round of which one was interrupted does not count either.
 */
function statistics(times: Map<string, Float64Array>): Map<string, number> {
  const all = Float64Array.from([...times.values()].flatMap((each) => [...each])).sort();
  const limit = all[Math.floor(all.length * QUANTILE)]!;
  const good = times.get('good')!;
  const names = [...times.keys()].filter((name) => name !== 'good');
  return new Map(
    names.map((name) => {
      const bad = times.get(name)!;
      const rounds = [...bad.keys()].filter((round) => bad[round]! <= limit && good[round]! <= limit);
      const { count, mean, variance } = moments(rounds.map((round) => bad[round]! - good[round]!));
      return [name, mean / Math.sqrt(variance / count)];
    }),
  );
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
    premasterOf(block, VERSION, randomBytes(48));
    const until = process.hrtime.bigint() + 2000n;
    if (block[1] !== 2) while (process.hrtime.bigint() < until);
  };
  measure(leaky, 400);
  // As many samples of a class as above: fewer would find it on a quiet machine only.
  const bad = 'no 0x02 at the start';
  const t = statistics(measure(leaky, 20_000, ['good', bad])).get(bad)!;
  assert.ok(t > BOUND, `t = ${t.toFixed(2)}`);
});
