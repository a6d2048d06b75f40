/** What is asked of key servers, whoever of them answers. */
import type { Items } from '../protocol/tags.ts';
import type { ClientOperation } from './channels.ts';
import type { Profile } from './connection.ts';
import type { KnownServer } from './known-server.ts';
import type { LaneName } from './lane.ts';

export interface ErrandRequest {
  readonly kind: ClientOperation['kind'];
  readonly lane: LaneName;
  /** The scheme of a signature, or otherwise what is to be done. */
  readonly method: string;
  /** `undefined`: it is for no key. */
  readonly keyId: Uint8Array | undefined;
  /** The custom function that it is to a key server of the profile; `undefined`: none. Default: none. */
  readonly functionFor?: ((profile: Profile) => string | undefined) | undefined;
  /** Only key servers of this profile are asked a second time while the first is still asked; default: all. */
  readonly hedgedAt?: Profile | undefined;
  /** The request in the words of either profile. @throws what makes it impossible there */
  items(profile: Profile): Items;
  /** Milliseconds on the clock. */
  readonly deadline: number;
  /** `undefined`: cannot be cancelled. */
  readonly signal: CancelSignal | undefined;
  /** Key servers that are not asked; default none. */
  readonly avoid?: readonly KnownServer[] | undefined;
}

/** The part of an AbortSignal that matters here. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: CancelListener, options: { once: true }): void;
  removeEventListener(type: 'abort', listener: CancelListener): void;
}

/** An object: a function would be a closure for each operation. */
export interface CancelListener {
  handleEvent(): void;
}
