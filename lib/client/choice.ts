/** Which key server is asked: the better one of two that are picked at random, of those that do nearly as well as the best. */

import type { LaneName } from './lane.ts';

export interface Candidate {
  /** What one more request of the kind costs there: less is better. */
  cost(lane: LaneName, now: number): number;
  /** Takes a request of the kind now. */
  admits(lane: LaneName): boolean;
}

export interface TriedCandidate extends Candidate {
  /** It has answered such requests before, and seems to do so still. */
  isKnownToAnswer(lane: LaneName, now: number): boolean;
}

/** Whoever costs more than so many times what the cheapest one does is not chosen, however much worse the other one picked is. */
const NEARLY_AS_WELL = 4;

/** @returns `undefined`: there is none */
function betterOfTwo<T>(fit: readonly T[], cost: (each: T) => number, random: () => number): T | undefined {
  const { length } = fit;
  if (length < 2) return fit[0];
  const first = Math.floor(random() * length);
  const second = (first + 1 + Math.floor(random() * (length - 1))) % length;
  const [one, other] = [fit[first]!, fit[second]!];
  return cost(other) < cost(one) ? other : one;
}

/**
 * Two random picks do nearly as well as a look at all, and do not send everybody to the one that looked best a moment ago
 * (Mitzenmacher, The Power of Two Choices): that is of key servers that are alike. Of those that are not, two slow ones are
 * often picked: then it is done once more without those. They come in as soon as those that are quicker have as much under way.
 *
 * @param avoid those that are not asked (again)
 * @param random 0 to 1, as Math.random
 */
export function choose<T extends Candidate>(
  candidates: readonly T[],
  avoid: readonly T[],
  lane: LaneName,
  now: number,
  random: () => number,
): T | undefined {
  const fit =
    avoid.length === 0 && candidates.every((each) => each.admits(lane))
      ? candidates
      : candidates.filter((each) => each.admits(lane) && !avoid.includes(each));
  const cost = (each: T) => each.cost(lane, now);
  const better = betterOfTwo(fit, cost, random);
  if (better === undefined || fit.length < 3) return better;
  const most = NEARLY_AS_WELL * Math.min(...fit.map(cost));
  if (cost(better) <= most) return better;
  return betterOfTwo(
    fit.filter((each) => cost(each) <= most),
    cost,
    random,
  );
}

/**
 * Who else is asked what one does not answer: there are few attempts, so rather somebody who answers than one of whom nothing
 * is known, however cheap that makes it. See {@link choose}.
 */
export function chooseOther<T extends TriedCandidate>(
  candidates: readonly T[],
  avoid: readonly T[],
  lane: LaneName,
  now: number,
  random: () => number,
): T | undefined {
  const tried = candidates.filter((each) => each.isKnownToAnswer(lane, now));
  return choose(tried, avoid, lane, now, random) ?? choose(candidates, avoid, lane, now, random);
}
