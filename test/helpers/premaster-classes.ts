/** Kinds of premasters, good and bad, and the statistics that tell whether one takes another time than a good one. */
import { constants, type KeyObject, publicEncrypt, randomBytes, randomInt } from 'node:crypto';

const MODULUS_BYTES = 256;
export const VERSION = 0x0303;
/** Different ciphertexts of a kind. */
export const POOL = 64;
/** Of the paired t: a good one is beyond it once in a million times. */
export const BOUND = 5;
const QUANTILE = 0.9;

/** PKCS#1 v1.5 around 48 bytes (RFC 8017 §7.2.1), before a class breaks it. */
function goodBlock(): Buffer {
  const padding = Buffer.from(Array.from({ length: MODULUS_BYTES - 51 }, () => randomInt(1, 256)));
  const premaster = randomBytes(48);
  premaster.writeUInt16BE(VERSION);
  return Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), premaster]);
}

export const CLASSES: Readonly<Record<string, (block: Buffer) => void>> = {
  good: () => undefined,
  'wrong version': (block) => void block.writeUInt16BE(0x0302, MODULUS_BYTES - 48),
  'no 0x02 at the start': (block) => void block.fill(1, 1, 2),
  'a zero early in the padding': (block) => void block.fill(0, 2, 3),
  'no zero before the premaster': (block) => void block.fill(1, MODULUS_BYTES - 49, MODULUS_BYTES - 48),
};

/** @param breakIt of {@link CLASSES} */
export function ciphertexts(publicKey: KeyObject, breakIt: (block: Buffer) => void): Buffer[] {
  return Array.from({ length: POOL }, () => {
    const block = goodBlock();
    breakIt(block);
    return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block);
  });
}

/** Names of the classes in random order: what comes after what must not matter. */
export function shuffled(names: readonly string[]): readonly string[] {
  return names
    .map((name) => ({ name, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ name }) => name);
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
export function statistics(times: Map<string, Float64Array>): Map<string, number> {
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
