/** When connections of an open loop are due. */

/** Of a Poisson process: exponential, so that some come close together, as those of many clients do. @param random 0 to 1 */
export function gapMs(perSecond: number, random = Math.random()): number {
  return (-Math.log(1 - random) * 1000) / perSecond;
}
