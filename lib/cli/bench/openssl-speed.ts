/** What OpenSSL's own benchmark says of this machine: the speed of signatures alone. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { onCoresOf, type Role } from './cores.ts';
import type { Site } from './sites.ts';

const run = promisify(execFile);

/** Those whose lines are understood. */
const ALGORITHMS: Readonly<Partial<Record<Site, string>>> = { 'RSA-2048': 'rsa2048', 'P-256': 'ecdsap256' };

/**
 * @param seconds whole ones, for signatures, and again for verifications, which nobody needs
 * @returns signatures a second on one core; `undefined`: there is no `openssl` command, or it says something else
 */
export async function opensslSpeed(site: Site, seconds: number, role: Role): Promise<number | undefined> {
  const algorithm = ALGORITHMS[site];
  if (algorithm === undefined) return undefined;
  const [command, args] = onCoresOf(role, 'openssl', [
    'speed',
    '-mr',
    '-seconds',
    String(seconds),
    algorithm,
  ]);
  try {
    const { stdout } = await run(command, [...args], { timeout: (2 * seconds + 10) * 1000 });
    return signaturesIn(stdout);
  } catch {
    return undefined;
  }
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
