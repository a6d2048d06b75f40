/** An audit log that is looked at while it is written. */
import assert from 'node:assert/strict';
import fs, { appendFileSync, readFileSync, truncateSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, mock, test } from 'node:test';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';
import { auditFolder, openAuditLog, removeAuditFolders } from '../../helpers/audit-logs.ts';

afterEach(removeAuditFolders);

/** @returns its last file, and what that was to have */
function writtenLog(directory: string) {
  const log = openAuditLog(directory, { maxFileBytes: 1000 });
  while (auditFiles(directory).length < 3) {
    log.append('operation', { client: 'edge' });
    log.flush();
  }
  for (let at = 0; at < 3; at += 1) log.append('operation', { client: 'edge', at });
  log.close();
  const file = auditFiles(directory).at(-1)!;
  return { file, content: readFileSync(file) };
}

/** Does it when the first file is read: the last one has been looked at by then, and not read. */
async function verifyBeside(directory: string, write: () => void) {
  const { createReadStream } = fs;
  const written = mock.method(fs, 'createReadStream', (...args: Parameters<typeof createReadStream>) => {
    if (written.mock.callCount() === 0) write();
    return createReadStream(...args);
  });
  syncBuiltinESMExports();
  try {
    return await verifyAudit(directory);
  } finally {
    written.mock.restore();
    syncBuiltinESMExports();
  }
}

for (const [what, atFirst, then] of [
  ['ends in the middle of a record, which becomes whole', 100, 0],
  ['is whole, and then ends in the middle of a record', 0, 100],
  ['ends in the middle of a record, and then of another', 100, 90],
] as const) {
  test(`a log that ${what} while it is looked at has no bad record`, async () => {
    const directory = auditFolder();
    const { file, content } = writtenLog(directory);
    const lastLine = content.lastIndexOf('\n', content.length - 2) + 1;
    const bytes = atFirst === 0 ? lastLine : content.length - atFirst;
    truncateSync(file, bytes);
    const before = await verifyAudit(directory);
    const verdict = await verifyBeside(directory, () => {
      appendFileSync(file, content.subarray(bytes));
      appendFileSync(file, content.subarray(lastLine).subarray(0, then));
    });
    assert.deepEqual(verdict, before);
    assert.deepEqual([verdict.bad, verdict.tornBytes > 0], [undefined, atFirst > 0]);
  });
}

test('a log that goes on in another file while it is looked at has no bad record', async () => {
  const directory = auditFolder();
  const log = openAuditLog(directory, { maxFileBytes: 1000 });
  const writeUntil = (files: number) => {
    while (auditFiles(directory).length < files) {
      log.append('operation', { client: 'edge' });
      log.flush();
    }
  };
  writeUntil(2);
  const before = await verifyAudit(directory);
  assert.deepEqual(await verifyBeside(directory, () => writeUntil(4)), before);
  log.close();
});
