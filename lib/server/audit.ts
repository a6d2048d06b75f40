/** What goes into the audit log: every operation, and who came and went. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Clock, systemClock } from '../clock.ts';
import type { AuditLog } from './audit-log.ts';
import { RefusalRecords } from './audit-refusals.ts';
import {
  type ServerConnection,
  type ServerConnectionRefused,
  type ServerOperation,
  serverConnection,
  serverConnectionRefused,
  serverOperation,
} from './channels.ts';

function recordOperation(log: AuditLog, operation: ServerOperation): void {
  const { peer, kind, method, keyId, context, transcript, servername, refusal, durationMs } = operation;
  if (kind === 'ping' || kind === 'capabilities') return;
  log.append('operation', {
    client: peer.client,
    certificate: peer.fingerprint,
    address: peer.address,
    kind,
    key: keyId,
    method,
    context,
    transcript,
    sni: servername,
    result: refusal ?? 'ok',
    ms: Math.round(durationMs * 1000) / 1000,
  });
}

/** @returns ends it */
export function auditOperations(log: AuditLog, clock: Clock = systemClock): () => void {
  const refusals = new RefusalRecords(log, clock);
  const listeners = [
    [serverOperation.name, (message: unknown) => recordOperation(log, message as ServerOperation)],
    [
      serverConnection.name,
      (message: unknown) => {
        const { client, fingerprint, address } = (message as ServerConnection).peer;
        log.append('connected', { client, certificate: fingerprint, address });
      },
    ],
    [serverConnectionRefused.name, (message: unknown) => refusals.add(message as ServerConnectionRefused)],
  ] as const;
  for (const [name, listener] of listeners) subscribe(name, listener);
  return () => {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
    refusals.close();
  };
}
