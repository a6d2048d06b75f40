/**
 * The side of a program that is run to be compared: `node program.js native|sync|delayed`. Natively it does not load the library,
 * which takes part in connections with some callbacks even where their keys are Node's. (Elsewhere see parity.ts.)
 */
import nodeTls from 'node:tls';
import type { Issued } from './certificates.ts';

const mode = process.argv[2] as 'native' | 'sync' | 'delayed';
const keyless = mode === 'native' ? undefined : await import('../../lib/index.ts');

/** node:tls, or ours. */
export const tls = (keyless ?? nodeTls) as typeof nodeTls;

function answered<T>(work: (operation: T) => unknown): (operation: T) => unknown {
  if (mode === 'sync') return work;
  return (operation) => new Promise((resolve) => setTimeout(() => resolve(work(operation)), 20));
}

/** The `key` option for a certificate. Typed as what node:tls takes, whatever it is. */
export function keyOf({ keyPem }: Issued): string {
  if (keyless === undefined) return keyPem;
  const local = keyless.localKey(keyPem, { sync: true });
  const sign = answered<Parameters<typeof local.sign>[0]>((operation) => local.sign(operation));
  const decrypt = answered<Parameters<NonNullable<typeof local.decrypt>>[0]>((operation) =>
    local.decrypt?.(operation),
  );
  return { publicKey: local.publicKey, sign, decrypt: local.decrypt && decrypt } as unknown as string;
}
