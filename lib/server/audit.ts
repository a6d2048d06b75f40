/** What goes into the audit log: every operation, and who came. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Clock, systemClock } from '../clock.ts';
import { ConnectionRecords } from './audit-connections.ts';
import type { AuditLog } from './audit-log.ts';
import { asciiJson } from './audit-record.ts';
import {
  type Peer,
  type ServerConnection,
  type ServerConnectionRefused,
  type ServerOperation,
  serverAnswers,
  serverConnection,
  serverConnectionRefused,
  serverOperation,
} from './channels.ts';
import { resultOf } from './operation-record.ts';

/** The same in each record of a connection: members after commas. */
const peers = new WeakMap<Peer, string>();

function peerJson(peer: Peer): string {
  let json = peers.get(peer);
  if (json === undefined) {
    const { client, fingerprint: certificate, address } = peer;
    json = `,${asciiJson({ client, certificate, address }).slice(1, -1)}`;
    peers.set(peer, json);
  }
  return json;
}

/** @param text a word of ours, or hexadecimal digits: it needs no escaping; `undefined`: left out */
function field(name: string, text: string | undefined): string {
  return text === undefined ? '' : `,"${name}":"${text}"`;
}

const MICROSECONDS = 1000;

/** By whole numbers: the text of a fraction is the most expensive part of a record. */
function milliseconds(ms: number): string {
  const micros = Math.round(ms * MICROSECONDS);
  const rest = micros % MICROSECONDS;
  return `${(micros - rest) / MICROSECONDS}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}

/** One for each signature: put together by hand in a third of the time that JSON.stringify takes. */
function operationMembers(operation: ServerOperation): string {
  const { peer, kind, method, keyId, context, transcript, servername, durationMs } = operation;
  const sni = servername === undefined ? '' : `,"sni":${asciiJson(servername)}`;
  const words = field('key', keyId) + field('method', method) + field('context', context);
  const rest = `${field('transcript', transcript)}${sni},"result":"${resultOf(operation)}"`;
  return `${peerJson(peer)},"kind":"${kind}"${words}${rest},"ms":${milliseconds(durationMs)}`;
}

function recordOperation(log: AuditLog, operation: ServerOperation): void {
  const { kind } = operation;
  if (kind !== 'ping' && kind !== 'capabilities') log.appendMembers('operation', operationMembers(operation));
}

/** @returns ends it */
export function auditOperations(log: AuditLog, clock: Clock = systemClock): () => void {
  const connections = new ConnectionRecords(log, clock);
  const listeners = [
    [serverAnswers.name, () => log.flush()],
    [serverOperation.name, (message: unknown) => recordOperation(log, message as ServerOperation)],
    [serverConnection.name, (message: unknown) => connections.connected(message as ServerConnection)],
    [
      serverConnectionRefused.name,
      (message: unknown) => connections.refused(message as ServerConnectionRefused),
    ],
  ] as const;
  for (const [name, listener] of listeners) subscribe(name, listener);
  return () => {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
    connections.close();
  };
}
