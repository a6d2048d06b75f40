/** What a busy machine shows once is no proof: it takes several tries in a row. */

/** @param succeeds measures, and says whether it is well; @returns whether one of the tries was */
export async function oneOf(tries: number, succeeds: () => Promise<boolean>): Promise<boolean> {
  for (let index = 0; index < tries; index += 1) if (await succeeds()) return true;
  return false;
}
