/** What OpenSSL's own benchmark says of this machine: the speed of signatures alone. */
import type { Role } from './cores.ts';
import type { Site } from './sites.ts';
import type { Workshop } from './workshop.ts';

/** Those whose lines are understood. */
const ALGORITHMS: Readonly<Partial<Record<Site, string>>> = { 'RSA-2048': 'rsa2048', 'P-256': 'ecdsap256' };

/**
 * @param seconds whole ones, for signatures, and again for verifications, which nobody needs
 * @returns signatures a second on one core; `undefined`: there is no `openssl` command, or it says something else
 */
export async function opensslSpeed(
  workshop: Workshop,
  site: Site,
  seconds: number,
  role: Role,
): Promise<number | undefined> {
  const algorithm = ALGORITHMS[site];
  if (algorithm === undefined) return undefined;
  const args = ['speed', '-mr', '-seconds', String(seconds), algorithm];
  const text = await workshop.run(role, 'openssl', args, 2 * seconds * 1000);
  return text === undefined ? undefined : signaturesIn(text);
}

/**
 * @param text a line `+F2:` (RSA) or `+F4:` (ECDSA): index, bits, then seconds for one signature in OpenSSL 3.0, and
 *   signatures a second in others
 */
export function signaturesIn(text: string): number | undefined {
  const [, , , figure] = /^\+F[24]:.*$/m.exec(text)?.[0].split(':') ?? [];
  const value = Number(figure);
  if (!(value > 0)) return undefined;
  return value > 1 ? value : 1 / value;
}
