/** Which results are checked with the certificate before use. */
import type { VerifyPolicy } from './private-key.ts';

const POLICIES: readonly unknown[] = ['always', 'rsa', 'never'] satisfies VerifyPolicy[];

/** What an error says of anything else. */
export const VERIFY_POLICY_NEEDED = '"verify" must be "always", "rsa" or "never"';

export function isVerifyPolicy(value: unknown): value is VerifyPolicy {
  return POLICIES.includes(value);
}
