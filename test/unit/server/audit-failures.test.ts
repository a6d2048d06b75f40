/** An audit log whose disk is full or broken, or whose process may open no more files. */
import assert from 'node:assert/strict';
import fs, {
  appendFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, mock, test } from 'node:test';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import type { AuditLog } from '../../../lib/server/audit-log.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';
import { auditFolder, openAuditLog, removeAuditFolders } from '../../helpers/audit-logs.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

afterEach(removeAuditFolders);

test('a log that cannot be written says so once', () => {
  const failures: Error[] = [];
  const directory = auditFolder();
  const log = openAuditLog(directory, { onFailure: (error) => failures.push(error), maxFileBytes: 1 });
  rmSync(directory, { recursive: true });
  for (let at = 0; at < 3; at += 1) {
    log.append('operation', {});
    log.flush();
  }
  assert.deepEqual(
    failures.map((error) => (error as NodeJS.ErrnoException).code),
    ['ERR_KEYLESS_AUDIT'],
  );
});

const TAKEN_AWAY = 'was taken away, or is another file';
const CHANGED = 'was cut short, or written to, by another program';

for (const [what, takeAway, why] of [
  ['its directory was removed', (directory: string) => rmSync(directory, { recursive: true }), TAKEN_AWAY],
  ['its file was moved', (_: string, file: string) => renameSync(file, `${file}.1`), TAKEN_AWAY],
  [
    'its file was replaced',
    (_: string, file: string) => {
      renameSync(file, `${file}.1`);
      writeFileSync(file, '');
    },
    TAKEN_AWAY,
  ],
  ['its file was emptied', (_: string, file: string) => truncateSync(file), CHANGED],
  [
    'another program has written to its file',
    (_: string, file: string) => appendFileSync(file, 'x'),
    CHANGED,
  ],
] as const) {
  for (const isClosed of [false, true]) {
    test(`a log takes no more records when ${what}, ${isClosed ? 'and ends' : 'within a second'}`, () => {
      const failures: string[] = [];
      const [directory, clock] = [auditFolder(), new ManualClock()];
      const onFailure = ({ message }: Error) => failures.push(message);
      const log = openAuditLog(directory, { onFailure, clock });
      const [file] = auditFiles(directory) as [string];
      log.append('operation', {});
      const { head } = log;
      takeAway(directory, file);
      if (!isClosed) clock.advance(1000);
      log.append('operation', {});
      if (isClosed) log.close();
      assert.deepEqual(log.head, head);
      assert.deepEqual(failures, [`The audit log cannot be written: ${file} ${why}`]);
    });
  }
}

test('what does not get to the disk at the end of a log is a failure, and said once', () => {
  const failures: string[] = [];
  const log = openAuditLog(auditFolder(), { onFailure: ({ message }) => failures.push(message) });
  const sync = mock.method(fs, 'fsyncSync', () => {
    throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
  });
  syncBuiltinESMExports();
  try {
    log.close();
  } finally {
    sync.mock.restore();
    syncBuiltinESMExports();
  }
  assert.deepEqual(failures, ['The audit log cannot be written: EIO: i/o error, fsync']);
});

/** What is written from now on goes to a disk with so much room. */
function fillDisk(room: number): () => void {
  let left = room;
  const { writeSync } = fs;
  const written = mock.method(fs, 'writeSync', (file: number, bytes: Buffer, offset: number) => {
    if (left === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    const count = Math.min(left, bytes.length - offset);
    left -= count;
    return writeSync(file, bytes, offset, count);
  });
  syncBuiltinESMExports();
  return () => {
    written.mock.restore();
    syncBuiltinESMExports();
  };
}

/** @returns how often a file was to be opened, and lets it be */
function refuseFiles(code: string): () => number {
  const refused = mock.method(fs, 'openSync', () => {
    throw Object.assign(new Error(`${code}: too many open files`), { code });
  });
  syncBuiltinESMExports();
  return () => {
    const { calls } = refused.mock;
    refused.mock.restore();
    syncBuiltinESMExports();
    return calls.length;
  };
}

const MAX_FILE_BYTES = 16_000;

/** @returns the bytes of the last file */
function writeUntil(log: AuditLog, directory: string, isSo: (lastBytes: number) => boolean): number {
  for (;;) {
    const { size } = statSync(auditFiles(directory).at(-1)!);
    if (isSo(size)) return size;
    log.append('operation', { client: 'edge' });
    log.flush();
  }
}

for (const code of ['EMFILE', 'ENFILE']) {
  test(`a log that gets no descriptor for its next file goes on with the one it has (${code})`, async () => {
    const directory = auditFolder();
    const log = openAuditLog(directory, { maxFileBytes: MAX_FILE_BYTES });
    const allow = refuseFiles(code);
    let refused = 0;
    try {
      writeUntil(log, directory, (bytes) => bytes > 1.5 * MAX_FILE_BYTES);
    } finally {
      refused = allow();
    }
    assert.ok(refused > 1 && refused <= 16, `tried ${refused} times`);
    writeUntil(log, directory, () => auditFiles(directory).length === 2);
    const [first] = auditFiles(directory) as [string];
    assert.ok(statSync(first).size < 1.6 * MAX_FILE_BYTES, 'soon after it can');
    writeUntil(log, directory, () => auditFiles(directory).length === 3);
    const [, second] = auditFiles(directory) as [string, string];
    assert.ok(statSync(second).size < 1.1 * MAX_FILE_BYTES, 'the next one is as long as any');
    log.close();
    assert.equal((await verifyAudit(directory)).bad, undefined);
  });
}

test('it goes on up to twice its size', () => {
  const directory = auditFolder();
  const failures: Error[] = [];
  const onFailure = (error: Error) => failures.push(error);
  const log = openAuditLog(directory, { maxFileBytes: MAX_FILE_BYTES, onFailure });
  const allow = refuseFiles('EMFILE');
  try {
    const bytes = writeUntil(log, directory, () => failures.length > 0);
    assert.ok(bytes >= 2 * MAX_FILE_BYTES && bytes < 2.1 * MAX_FILE_BYTES, `${bytes} bytes`);
  } finally {
    allow();
  }
  assert.match(failures[0]!.message, /cannot be written: EMFILE/);
});

test('the head of a log that could not be written is that of a record which is in it', async () => {
  const directory = auditFolder();
  const failures: Error[] = [];
  const log = openAuditLog(directory, { onFailure: (error) => failures.push(error) });
  const before = log.head;
  const makeRoom = fillDisk(100);
  try {
    for (let at = 0; at < 5; at += 1) log.append('operation', { client: 'edge', at });
    assert.deepEqual(log.head, before);
    log.close();
    assert.deepEqual([failures.length, log.head], [1, before]);
    assert.ok((await verifyAudit(directory, before.digest)).hasHead);
    assert.throws(() => openAuditLog(directory), {
      code: 'ERR_KEYLESS_AUDIT',
      message: /cannot be written: ENOSPC/,
    });
  } finally {
    makeRoom();
  }
  const next = openAuditLog(directory);
  const { bad, hasHead, head } = await verifyAudit(directory, before.digest);
  assert.deepEqual([bad, hasHead, head], [undefined, true, next.head.digest]);
  next.close();
});

test('of records of which some were written before the disk was full, the head is that of the last one that is whole', async () => {
  const directory = auditFolder();
  const failures: Error[] = [];
  const log = openAuditLog(directory, { onFailure: (error) => failures.push(error) });
  const [file] = auditFiles(directory) as [string];
  const { seq } = log.head;
  const { size } = statSync(file);
  log.append('operation', { client: 'edge' });
  log.flush();
  // Of five more of the same length, two and a half.
  const makeRoom = fillDisk(Math.floor(2.5 * (statSync(file).size - size)));
  try {
    for (let at = 0; at < 5; at += 1) log.append('operation', { client: 'edge' });
    const { head } = log;
    assert.deepEqual([failures.length, head.seq], [1, seq + 3]);
    assert.ok((await verifyAudit(directory, head.digest)).hasHead);
  } finally {
    makeRoom();
  }
});

test('a log that goes on in other files has no more files open', () => {
  const directory = auditFolder();
  const opened = () => readdirSync('/proc/self/fd').length;
  const log = openAuditLog(directory, { maxFileBytes: MAX_FILE_BYTES });
  const before = opened();
  writeUntil(log, directory, () => auditFiles(directory).length === 4);
  assert.equal(opened(), before);
  log.close();
  assert.equal(opened(), before - 1);
});
