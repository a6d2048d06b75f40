/** Who asks for an operation, and what comes of it. */
import type { Grant } from './grants.ts';
import type { StoredKey } from './key-store.ts';
import type { Refusal } from './refusals.ts';
import type { Asker } from './turns.ts';

/** The payload of a result, or why there is none. */
export type Outcome = Uint8Array | Refusal;

/** As long as an operation waits, and what it may when it begins. */
export interface PatientAsker extends Asker {
  /** What the client may now. */
  grant(): Grant;
  /** Milliseconds since the request was read. */
  waitedMs(): number;
}

/** One request's asker. */
export interface Asking extends PatientAsker {
  /** Whether the peer is one of ours: those never get a raw block. */
  readonly ours: boolean;
  /** The key that the request came to; `undefined`: none was found. Set on the way. */
  key: StoredKey | undefined;
  /** Whether it gets what was made for an earlier request. Set on the way. */
  repeats: boolean;
}
