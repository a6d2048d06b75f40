/** Property tests whose failures can be had again: the seed is printed, and taken from KEYLESS_TLS_TEST_SEED. */
import type { TestContext } from 'node:test';
import fc from 'fast-check';

/**
 * @param runs how many cases
 * @throws what fast-check throws: the smallest failing case and its seed
 */
export async function checkProperty<T>(
  t: TestContext,
  property: fc.IRawProperty<T>,
  runs = 200,
): Promise<void> {
  const seed = Number(process.env.KEYLESS_TLS_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`seed ${seed}`);
  await fc.assert(property as fc.IAsyncProperty<T>, { seed, numRuns: runs });
}
