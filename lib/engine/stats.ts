/** What the engine holds at this moment, for tests and operators. */
import { addon } from './addon.ts';
import { admissionStats } from './admission.ts';

/** Counters of this thread's engine. */
export interface EngineStats {
  /** Connections with a keyless key that are open, whatever their state. */
  readonly handshakes: number;
  /** Handshakes, of servers and clients, whose job is paused on an operation. */
  readonly paused: number;
  /** Handshakes that wait for others to finish. */
  readonly queued: number;
  /** Handshakes refused since the start. */
  readonly refused: number;
}

/** @throws KeylessError ERR_KEYLESS_PLATFORM where handshakes cannot be paused */
export function engineStats(): EngineStats {
  const { handshakes, paused } = addon().stats();
  const { queued, refused } = admissionStats();
  return { handshakes, paused, queued, refused };
}
