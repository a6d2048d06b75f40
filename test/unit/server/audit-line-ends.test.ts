/** An audit log of several files: each but the last one is whole. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import { AuditLog } from '../../../lib/server/audit-log.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';

test('a file that is not the last ends with a line end, and is not empty', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-audit-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const log = new AuditLog({ directory, onFailure: assert.fail, maxFileBytes: 1000 });
  while (auditFiles(directory).length < 4) {
    log.append('operation', { client: 'edge' });
    log.flush();
  }
  log.close();
  const badOf = async () => (await verifyAudit(directory)).bad;
  const [first, second] = auditFiles(directory) as [string, string];
  for (const file of [first, second]) {
    const content = readFileSync(file);
    const line = content.toString().split('\n').length - 1;
    writeFileSync(file, content.subarray(0, -1));
    assert.deepEqual(await badOf(), { file, line, reason: 'its line end is missing' });
    writeFileSync(file, '');
    assert.deepEqual(await badOf(), { file, line: 1, reason: 'its records are missing' });
    writeFileSync(file, content);
  }
  assert.equal(await badOf(), undefined);
});
