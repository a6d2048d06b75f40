/**
 * Connections, in the audit log: those that were not taken, which anybody can make, by reason, so that a client that was revoked is seen
 * among any number of strangers; those that were taken by certificate, so that one client that comes and goes hides no other.
 */
import type { Clock } from '../clock.ts';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { AuditLog } from './audit-log.ts';
import { BoundedRecords } from './bounded-records.ts';
import type { RefusedConnection, ServerConnection, ServerConnectionRefused } from './channels.ts';

export class ConnectionRecords {
  readonly #log: AuditLog;
  readonly #refused: BoundedRecords<RefusedConnection>;
  readonly #connected: BoundedRecords<string>;

  constructor(log: AuditLog, clock: Clock) {
    this.#log = log;
    this.#refused = new BoundedRecords(clock, (left) => {
      const connections = [...left.values()].reduce((sum, count) => sum + count, 0);
      log.append('refused-more', { connections, ...Object.fromEntries(left) });
    });
    this.#connected = new BoundedRecords(clock, (left) => {
      for (const [certificate, connections] of left)
        log.append('connected-more', { certificate, connections });
    });
  }

  refused({ address, reason, error }: ServerConnectionRefused): void {
    if (this.#refused.take(reason))
      this.#log.append('refused', { address, reason: escapePeerText(error.message) });
  }

  connected({ peer: { client, fingerprint: certificate, address } }: ServerConnection): void {
    if (this.#connected.take(certificate)) this.#log.append('connected', { client, certificate, address });
  }

  /** Writes what has been counted. */
  close(): void {
    this.#refused.close();
    this.#connected.close();
  }
}
