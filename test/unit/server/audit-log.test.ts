import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs, { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, mock, test } from 'node:test';
import { auditFiles } from '../../../lib/server/audit-files.ts';
import type { AuditLogOptions } from '../../../lib/server/audit-log.ts';
import { verifyAudit } from '../../../lib/server/audit-verify.ts';
import { auditFolder, openAuditLog, removeAuditFolders } from '../../helpers/audit-logs.ts';
import { MAIN } from '../../helpers/serve-process.ts';

afterEach(removeAuditFolders);

/** A log of `count` operations beside what it says of itself. */
function write(directory: string, count: number, more: Partial<AuditLogOptions> = {}): void {
  const log = openAuditLog(directory, more);
  for (let at = 0; at < count; at += 1) {
    log.append('operation', { client: 'edge', at });
    log.flush();
  }
  log.close();
}

test('a log verifies, over restarts too, and its head is what the log says', async () => {
  const directory = auditFolder();
  write(directory, 5);
  const log = openAuditLog(directory);
  log.append('operation', { client: 'edge' });
  log.flush();
  const { seq, digest } = log.head;
  log.close();
  const verdict = await verifyAudit(directory);
  assert.deepEqual([verdict.bad, verdict.firstSeq, verdict.records], [undefined, 1, seq + 1]);
  assert.notEqual(verdict.head, digest, 'closing is a record as well');
});

test('files are for their owner only', () => {
  const directory = auditFolder();
  write(directory, 1);
  assert.equal(statSync(auditFiles(directory)[0]!).mode & 0o777, 0o600);
});

test('every change of a byte is found, in the line where it is', async () => {
  const directory = auditFolder();
  write(directory, 3);
  const [file] = auditFiles(directory) as [string];
  const content = readFileSync(file);
  for (let at = 0; at < content.length; at += 1) {
    const line = content.subarray(0, at).toString('latin1').split('\n').length;
    const changed = Buffer.from(content);
    changed[at]! ^= 1;
    writeFileSync(file, changed);
    const { bad } = await verifyAudit(directory);
    assert.equal(bad?.line, line, `byte ${at}: ${JSON.stringify(bad)}`);
  }
});

test('so is another line end', async () => {
  const directory = auditFolder();
  write(directory, 3);
  const [file] = auditFiles(directory) as [string];
  const content = readFileSync(file, 'latin1');
  for (const end of ['\r', '\r\n', '\n\n', '\u2028']) {
    for (const changed of [content.replace('\n', end), content.replaceAll('\n', end), `${content}${end}`]) {
      writeFileSync(file, changed, 'latin1');
      const { bad, tornBytes } = await verifyAudit(directory);
      assert.ok(bad !== undefined || tornBytes > 0, JSON.stringify(end));
    }
  }
});

test('a record that was taken out, put in twice or moved is found', async () => {
  const directory = auditFolder();
  write(directory, 4);
  const [file] = auditFiles(directory) as [string];
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const forgeries: [string[], number][] = [
    [lines.toSpliced(2, 1), 3],
    [lines.toSpliced(2, 0, lines[2]!), 4],
    [lines.with(2, lines[3]!).with(3, lines[2]!), 3],
    [lines.slice(1), 1],
  ];
  for (const [forged, line] of forgeries) {
    writeFileSync(file, `${forged.join('\n')}\n`);
    assert.equal((await verifyAudit(directory)).bad?.line, line);
  }
});

test('rotation leaves the chain whole, and older files may be taken away', async () => {
  const directory = auditFolder();
  write(directory, 100, { maxFileBytes: 1000 });
  const files = auditFiles(directory);
  assert.ok(files.length > 5, String(files.length));
  const whole = await verifyAudit(directory);
  assert.equal(whole.bad, undefined);
  rmSync(files[0]!);
  const rest = await verifyAudit(directory);
  assert.deepEqual([rest.bad, rest.head, rest.firstSeq > 1], [undefined, whole.head, true]);
  rmSync(files[2]!);
  assert.equal((await verifyAudit(directory)).bad?.file, files[3]);
});

test('a digest of a file that was taken away is that of the chain where the first one left builds on it', async () => {
  const directory = auditFolder();
  const log = openAuditLog(directory, { maxFileBytes: 1000 });
  const heads: string[] = [];
  while (auditFiles(directory).length < 3) {
    log.append('operation', { client: 'edge' });
    log.flush();
    heads.push(log.head.digest);
  }
  log.close();
  const [first] = auditFiles(directory) as [string];
  const own = [...readFileSync(first, 'utf8').matchAll(/^[0-9a-f]{64}/gm)].map(([digest]) => digest);
  const last = own.at(-1)!;
  const before = heads.find((head) => own.includes(head) && head !== last)!;
  rmSync(first);
  assert.equal((await verifyAudit(directory, last)).hasHead, true);
  assert.equal((await verifyAudit(directory, before)).hasHead, false);
  const { status, stderr } = spawnSync(
    process.execPath,
    [MAIN, 'audit', 'verify', directory, '--head', before],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(status, 1);
  assert.match(
    stderr,
    /not in the log: it is of one of the first \d records, whose files were taken away, or records were cut/,
  );
});

test('a file is on the disk before another one goes on', () => {
  const directory = auditFolder();
  const synced: number[] = [];
  const { fsyncSync } = fs;
  const sync = mock.method(fs, 'fsyncSync', (file: number) => {
    synced.push(fs.fstatSync(file).ino);
    fsyncSync(file);
  });
  syncBuiltinESMExports();
  try {
    const log = openAuditLog(directory, { maxFileBytes: 1000 });
    for (let at = 0; auditFiles(directory).length < 3; at += 1) {
      log.append('operation', { client: 'edge', at });
      log.flush();
    }
    const files = auditFiles(directory).map((file) => statSync(file).ino);
    assert.deepEqual(synced, files.slice(0, -1));
    log.close();
    assert.deepEqual(synced, files);
  } finally {
    sync.mock.restore();
    syncBuiltinESMExports();
  }
});

test('a line that was cut off in the middle is taken away at the next start, which is recorded', async () => {
  const directory = auditFolder();
  write(directory, 3);
  const [file] = auditFiles(directory) as [string];
  const whole = readFileSync(file).length;
  truncateSync(file, whole - 10);
  const torn = await verifyAudit(directory);
  assert.deepEqual([torn.bad, torn.records, torn.tornBefore], [undefined, 4, 0]);
  assert.ok(torn.tornBytes > 0);
  write(directory, 1);
  const verdict = await verifyAudit(directory);
  assert.deepEqual([verdict.bad, verdict.tornBytes, verdict.tornBefore], [undefined, 0, 1]);
  assert.match(readFileSync(file, 'utf8'), /"event":"opened","tornBytes":\d+/);
});

test('killed between the making of a file and its first record, it goes on from the file before', async () => {
  const directory = auditFolder();
  write(directory, 30, { maxFileBytes: 1000 });
  writeFileSync(join(directory, 'audit-000000009999.log'), '');
  write(directory, 1);
  assert.equal((await verifyAudit(directory)).bad, undefined);
});

test('a log whose end was changed by hand is not written on', () => {
  const directory = auditFolder();
  write(directory, 1);
  appendFileSync(auditFiles(directory)[0]!, 'something else\n');
  assert.throws(() => openAuditLog(directory), { code: 'ERR_KEYLESS_AUDIT' });
});

test('two do not write one log, also when it has gone on to another file', () => {
  const directory = auditFolder();
  const log = openAuditLog(directory, { maxFileBytes: 1000 });
  assert.throws(() => openAuditLog(directory), {
    code: 'ERR_KEYLESS_AUDIT',
    message: /being written already/,
  });
  while (auditFiles(directory).length < 3) {
    log.append('operation', { client: 'edge' });
    log.flush();
    assert.throws(() => openAuditLog(directory), { code: 'ERR_KEYLESS_AUDIT' });
  }
  log.close();
  openAuditLog(directory).close();
});

const LOG = new URL('../../../lib/server/audit-log.js', import.meta.url).href;
/** Writes the log of its argument, says so, and stays. */
const WRITER = `
  const { AuditLog } = await import(${JSON.stringify(LOG)});
  const log = new AuditLog({ directory: process.argv[1], onFailure: console.error });
  console.log(log.head.seq);
  setInterval(() => log.append('operation', {}), 1);
`;

test('a process that was killed holds no log, whichever process has its number now', async () => {
  const directory = auditFolder();
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.throws(() => openAuditLog(directory), { code: 'ERR_KEYLESS_AUDIT' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  // In a container every key server has the same number.
  writeFileSync(join(directory, 'lock'), String(process.pid));
  openAuditLog(directory).close();
  assert.equal((await verifyAudit(directory)).bad, undefined);
});

test('a log that cannot be opened is not held either', () => {
  const directory = auditFolder();
  write(directory, 1);
  const [file] = auditFiles(directory) as [string];
  const whole = readFileSync(file);
  appendFileSync(file, 'something else\n');
  assert.throws(() => openAuditLog(directory), { code: 'ERR_KEYLESS_AUDIT', message: /cannot be read/ });
  writeFileSync(file, whole);
  openAuditLog(directory).close();
});

test('its directory is made with those above it, or it says why not', () => {
  const directory = auditFolder();
  openAuditLog(join(directory, 'a', 'b', 'c')).close();
  assert.equal(statSync(join(directory, 'a', 'b')).mode & 0o777, 0o700);
  openAuditLog(join(directory, 'a', 'b')).close();
  writeFileSync(join(directory, 'file'), '');
  assert.throws(() => openAuditLog(join(directory, 'file', 'log')), { code: 'ENOTDIR' });
  assert.throws(() => openAuditLog(join(directory, 'file')), { code: 'ENOTDIR' });
  // Where nothing can be made, it is as if what is above were not there.
  const made = mock.method(fs, 'mkdirSync', () => {
    throw Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT' });
  });
  syncBuiltinESMExports();
  try {
    assert.throws(() => openAuditLog(join(directory, 'x')), { code: 'ENOENT' });
    assert.throws(() => openAuditLog(join(directory, 'x', 'y')), { code: 'ENOENT' });
  } finally {
    made.mock.restore();
    syncBuiltinESMExports();
  }
});
