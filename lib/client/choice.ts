/** Which key server is asked: the better one of two that are picked at random. */

import type { LaneName } from './lane.ts';

export interface Candidate {
  /** What one more request of the kind costs there: less is better. */
  cost(lane: LaneName, now: number): number;
  /** Takes a request of the kind now. */
  admits(lane: LaneName): boolean;
}

/**
 * Two random picks do nearly as well as a look at all, and do not send everybody to the one that looked best a moment ago
 * (Mitzenmacher, The Power of Two Choices).
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
  const { length } = fit;
  if (length < 2) return fit[0];
  const first = Math.floor(random() * length);
  const second = (first + 1 + Math.floor(random() * (length - 1))) % length;
  const [one, other] = [fit[first]!, fit[second]!];
  return other.cost(lane, now) < one.cost(lane, now) ? other : one;
}
