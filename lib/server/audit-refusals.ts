/**
 * Connections that were not taken, in the audit log. Anybody can make them, as many as they like, so there are only so many
 * records of them: the others are counted, and a record says how many there were of each reason. One reason does not use
 * up what there is for another: a client that was revoked is seen among any number of strangers.
 */
import type { Alarm, Clock } from '../clock.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { AuditLog } from './audit-log.ts';
import type { RefusedConnection, ServerConnectionRefused } from './channels.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** Of each reason. */
const RECORDS: Rate = { perSecond: 1, burst: 100 };
const SUM_MS = 10_000;

export class RefusalRecords {
  readonly #log: AuditLog;
  readonly #clock: Clock;
  readonly #buckets = new Map<RefusedConnection, TokenBucket>();
  readonly #left = new Map<RefusedConnection, number>();
  #alarm: Alarm | undefined;

  constructor(log: AuditLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  add({ address, reason, error }: ServerConnectionRefused): void {
    if (this.#bucket(reason).take()) {
      this.#log.append('refused', { address, reason: escapePeerText(error.message) });
      return;
    }
    this.#left.set(reason, (this.#left.get(reason) ?? 0) + 1);
    this.#alarm ??= this.#clock.after(SUM_MS, () => this.#sum());
  }

  /** Writes what has been counted. */
  close(): void {
    this.#alarm?.cancel();
    if (this.#left.size > 0) this.#sum();
  }

  #sum(): void {
    const connections = [...this.#left.values()].reduce((sum, count) => sum + count, 0);
    this.#log.append('refused-more', { connections, ...Object.fromEntries(this.#left) });
    this.#left.clear();
    this.#alarm = undefined;
  }

  #bucket(reason: RefusedConnection): TokenBucket {
    let bucket = this.#buckets.get(reason);
    if (bucket === undefined) {
      bucket = new TokenBucket(RECORDS, this.#clock);
      this.#buckets.set(reason, bucket);
    }
    return bucket;
  }
}
