/** The audit log under a flood of connections that nobody lets in. */
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
import { type RefusedConnection, serverConnectionRefused } from '../../../lib/server/channels.ts';
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
  const bytes = auditFiles(directory).reduce((sum, file) => sum + readFileSync(file).length, 0);
  assert.ok(bytes * (86_400 / 1800) < 100_000_000, `${bytes} bytes in half an hour`);
});
