/** What a fleet tells whoever listens, through node:diagnostics_channel. No key is in any message. */
import { channel } from 'node:diagnostics_channel';
import type { KeylessError } from '../errors.ts';

/** Message of `keyless-tls:fleet:lease`: an attempt to renew, or the end of the lease. */
export interface FleetLease {
  readonly event: 'renewed' | 'failed' | 'ended';
  /** Of the key that issues; `undefined`: none does. */
  readonly epoch: number | undefined;
  /** Milliseconds; 0: the lease has ended. */
  readonly remainingMs: number;
  /** `undefined`: it was renewed. */
  readonly error: KeylessError | undefined;
}

export const fleetLease = channel('keyless-tls:fleet:lease');
