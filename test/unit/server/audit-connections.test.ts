/** The audit log under a flood of connections, of strangers and of a client. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { auditOperations } from '../../../lib/server/audit.ts';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import { AuditLog } from '../../../lib/server/audit-log.ts';
import { type AuditBody, parseLine } from '../../../lib/server/audit-record.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';
import {
  type RefusedConnection,
  serverConnection,
  serverConnectionRefused,
} from '../../../lib/server/channels.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function start() {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-audit-'));
  folders.push(directory);
  const clock = new ManualClock();
  const log = new AuditLog({ directory, onFailure: (error) => assert.fail(error), wallClock: () => 0 });
  const stop = auditOperations(log, clock);
  const close = () => {
    stop();
    log.close();
  };
  return { directory, clock, log, close };
}

function refuse(reason: RefusedConnection, times: number): void {
  for (let count = 0; count < times; count += 1)
    serverConnectionRefused.publish({
      address: '192.0.2.1 port 1',
      reason,
      error: new Error(`${'x'.repeat(80)} ${reason}`),
    });
}

/** As long as a fingerprint. */
function certificateOf(client: string): string {
  return client.padEnd(64, '0');
}

function connect(client: string, times: number): void {
  const peer = { client, fingerprint: certificateOf(client), address: '192.0.2.1 port 1' };
  for (let count = 0; count < times; count += 1)
    serverConnection.publish({ peer: { ...peer, subject: client, profile: 'ours' } });
}

function bytesOf(directory: string): number {
  return auditFiles(directory).reduce((sum, file) => sum + readFileSync(file).length, 0);
}

function recordsOf(directory: string, event: string): AuditBody[] {
  const lines = auditFiles(directory).flatMap((file) => readFileSync(file, 'utf8').trimEnd().split('\n'));
  return lines.map((line) => parseLine(line)!.body).filter((body) => body.event === event);
}

test('so many records, then sums, and what else happens is recorded all the same', async () => {
  const { directory, clock, log, close } = start();
  refuse('tls', 5000);
  refuse('not-served', 1);
  clock.advance(9999);
  log.flush();
  assert.equal(recordsOf(directory, 'refused').length, 101);
  assert.equal(recordsOf(directory, 'refused').at(-1)!.reason, `${'x'.repeat(80)} not-served`);
  assert.deepEqual(recordsOf(directory, 'refused-more'), []);
  clock.advance(1);
  log.flush();
  const [sum] = recordsOf(directory, 'refused-more');
  assert.deepEqual([sum!.connections, sum!.tls, sum!['not-served']], [4900, 4900, undefined]);
  refuse('tls', 20);
  refuse('certificate', 103);
  close();
  const last = recordsOf(directory, 'refused-more').at(-1)!;
  assert.deepEqual([last.connections, last.tls, last.certificate], [13, 10, 3]);
  const { bad, refusedMore } = await verifyAudit(directory);
  assert.deepEqual([bad, refusedMore], [undefined, 4913]);
});

test('a day of strangers is less than 100 MB', () => {
  const { directory, clock, close } = start();
  // What strangers can bring about.
  const reasons = ['too-many', 'tls', 'certificate'] as const;
  for (let second = 0; second < 1800; second += 1) {
    for (const reason of reasons) refuse(reason, 10);
    clock.advance(1000);
  }
  close();
  const bytes = bytesOf(directory);
  assert.ok(bytes * (86_400 / 1800) < 100_000_000, `${bytes} bytes in half an hour`);
});

test('of each client so many connections, then sums, whatever the others do', async () => {
  const { directory, clock, log, close } = start();
  connect('a', 500);
  connect('b', 1);
  clock.advance(10_000);
  log.flush();
  const names = recordsOf(directory, 'connected').map(({ client }) => client);
  assert.deepEqual([names.length, names.filter((name) => name === 'b').length], [101, 1]);
  connect('a', 12);
  connect('b', 101);
  close();
  const sums = recordsOf(directory, 'connected-more').map(({ certificate, connections }) => [
    certificate,
    connections,
  ]);
  const [a, b] = ['a', 'b'].map(certificateOf);
  assert.deepEqual(sums, [
    [a, 400],
    [a, 2],
    [b, 1],
  ]);
  const { bad, connectedMore, refusedMore } = await verifyAudit(directory);
  assert.deepEqual([bad, connectedMore, refusedMore], [undefined, 403, 0]);
});

test('a day of a client that comes and goes is less than 35 MB', () => {
  const { directory, clock, close } = start();
  for (let second = 0; second < 1800; second += 1) {
    connect('a', 20);
    clock.advance(1000);
  }
  close();
  const bytes = bytesOf(directory);
  assert.ok(bytes * (86_400 / 1800) < 35_000_000, `${bytes} bytes in half an hour`);
});

test('who has come and stays away is forgotten', () => {
  const { clock, close } = start();
  for (let at = 0; at < 50; at += 1) connect(`edge ${at}`, 3);
  assert.equal(clock.pending, 1);
  clock.advance(10_000);
  assert.equal(clock.pending, 0);
  connect('edge 0', 200);
  clock.advance(20_000);
  assert.equal(clock.pending, 1, 'it has used up what there is');
  clock.advance(100_000);
  assert.equal(clock.pending, 0);
  close();
});
