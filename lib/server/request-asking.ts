/** Who asks for one request, and for how long: what operations have to know of its connection. */
import type { Asking } from './asking.ts';
import type { Grant } from './grants.ts';
import type { StoredKey } from './key-store.ts';

/** The connection that a request came on. */
export interface AskingConnection {
  /** By its certificate. */
  readonly client: string;
  readonly ours: boolean;
  /** What the client may now. */
  readonly grant: Grant;
  /** Whether an answer can still leave. */
  readonly isThere: boolean;
  /** Milliseconds on its clock. */
  now(): number;
}

/** Its members are `private` to TypeScript only: every request makes one, and Node 20 is slow with `#` methods. */
export class RequestAsking implements Asking {
  readonly client: string;
  readonly ours: boolean;
  key: StoredKey | undefined = undefined;
  repeats = false;
  private readonly connection: AskingConnection;
  private readonly since: number;
  private readonly waitMs: number | undefined;

  /**
   * @param since when the request was read, milliseconds on the clock
   * @param waitMs how long it waits for its answer from then on; `undefined`: as long as the connection lasts
   */
  constructor(connection: AskingConnection, since: number, waitMs: number | undefined) {
    this.client = connection.client;
    this.ours = connection.ours;
    this.connection = connection;
    this.since = since;
    this.waitMs = waitMs;
  }

  grant(): Grant {
    return this.connection.grant;
  }

  wanted(): boolean {
    if (!this.connection.isThere) return false;
    return this.waitMs === undefined || this.waitedMs() < this.waitMs;
  }

  waitedMs(): number {
    return this.connection.now() - this.since;
  }
}
