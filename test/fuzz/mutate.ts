/** Inputs for a fuzz target: valid streams, broken a little. Everything follows from one seed. */

/** xorshift32 (Marsaglia, 2003): the same numbers everywhere. */
export class Dice {
  #state: number;

  /** @param seed 1 to 2^32 − 1 */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** @returns a whole number from 0 to one less than `limit` */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state % limit;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

type Mutation = (data: Buffer, dice: Dice, seeds: readonly Buffer[]) => Buffer;

const INTERESTING = [0, 1, 2, 0x7f, 0x80, 0xff, 0x11, 0x12, 0x14, 0x20];
const INTERESTING_16 = [0, 1, 2, 3, 8, 1015, 1016, 1024, 0x7fff, 0x8000, 0xfffe, 0xffff];

function inserted(data: Buffer, at: number, what: Buffer): Buffer {
  return Buffer.concat([data.subarray(0, at), what, data.subarray(at)]);
}

const MUTATIONS: readonly Mutation[] = [
  (data, dice) => {
    const at = dice.below(data.length);
    data[at] = data[at]! ^ (1 << dice.below(8));
    return data;
  },
  (data, dice) => data.fill(dice.pick(INTERESTING), dice.below(data.length)),
  (data, dice) => {
    data[dice.below(data.length)] = dice.pick(INTERESTING);
    return data;
  },
  (data, dice) => {
    if (data.length >= 2) data.writeUInt16BE(dice.pick(INTERESTING_16), dice.below(data.length - 1));
    return data;
  },
  (data, dice) => data.subarray(0, 1 + dice.below(data.length)),
  (data, dice) => {
    const from = dice.below(data.length);
    return Buffer.concat([data.subarray(0, from), data.subarray(from + 1 + dice.below(16))]);
  },
  (data, dice) =>
    inserted(data, dice.below(data.length), Buffer.alloc(1 + dice.below(16), dice.pick(INTERESTING))),
  (data, dice, seeds) => inserted(data, dice.below(data.length), dice.pick(seeds)),
  (data, dice, seeds) => Buffer.concat([data, dice.pick(seeds)]),
];

const MAX_BYTES = 8192;

/** @returns a new input: a seed, or two, with one to eight changes */
export function mutated(dice: Dice, seeds: readonly Buffer[]): Buffer {
  let data: Buffer = Buffer.from(dice.pick(seeds));
  for (let left = 1 + dice.below(8); left > 0; left -= 1) {
    data = dice.pick(MUTATIONS)(data, dice, seeds);
    if (data.length === 0) return Buffer.alloc(1);
  }
  return data.subarray(0, MAX_BYTES);
}
