/** What a machine shows once is no proof: it takes several tries in a row. */

/**
 * @param succeeds measures, and says whether it is well; @param again is called before each try but the first
 * @returns whether one of the tries was
 */
export async function oneOf(
  tries: number,
  succeeds: () => Promise<boolean>,
  again: () => void = () => undefined,
): Promise<boolean> {
  for (let index = 0; index < tries; index += 1) {
    if (index > 0) again();
    if (await succeeds()) return true;
  }
  return false;
}
