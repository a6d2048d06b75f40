import assert from 'node:assert/strict';
import fs, {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { editPolicy, type PolicyDraft } from '../../../lib/cli/policy-edit.ts';
import { tryLockFile } from '../../../lib/engine/file-lock.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-policy-'));
  path = join(folder, 'policy.json');
  writeFileSync(path, text([]), { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const text = (revoked: readonly string[]) => JSON.stringify({ version: 1, clients: [], revoked });
const revokedIn = (file: string) => (JSON.parse(readFileSync(file, 'utf8')) as PolicyDraft).revoked;

function revoke(name: string, of = path): Promise<void> {
  return editPolicy(of, (policy, write) => write({ ...policy, revoked: [...(policy.revoked ?? []), name] }));
}

test('an edit waits for the one before it, and builds on what that has written', async () => {
  const file = openSync(path, 'r+');
  assert.ok(tryLockFile(file));
  let begun = 0;
  const edits = ['DNS:a', 'DNS:b', 'DNS:c'].map((name) =>
    editPolicy(path, (policy, write) => {
      begun += 1;
      write({ ...policy, revoked: [...(policy.revoked ?? []), name] });
    }),
  );
  await new Promise(setImmediate);
  assert.equal(begun, 0);
  writeFileSync(join(folder, 'other'), text(['DNS:first']));
  renameSync(join(folder, 'other'), path);
  closeSync(file);
  await Promise.all(edits);
  const revoked = revokedIn(path)!;
  assert.equal(revoked[0], 'DNS:first');
  assert.deepEqual([...revoked].sort(), ['DNS:a', 'DNS:b', 'DNS:c', 'DNS:first']);
});

test('a file that another edit has replaced since it was opened is not the one that is edited', async () => {
  const open = fs.openSync;
  const opened = mock.method(fs, 'openSync', (...args: Parameters<typeof open>) => {
    const file = open(...args);
    if (opened.mock.callCount() > 0) return file;
    writeFileSync(join(folder, 'other'), text(['DNS:first']));
    renameSync(join(folder, 'other'), path);
    return file;
  });
  syncBuiltinESMExports();
  try {
    await revoke('DNS:a');
  } finally {
    opened.mock.restore();
    syncBuiltinESMExports();
  }
  assert.deepEqual(revokedIn(path), ['DNS:first', 'DNS:a']);
});

test('what is no policy, before or after, leaves the file as it was', async () => {
  const was = readFileSync(path, 'utf8');
  await assert.rejects(revoke('nobody'), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  assert.equal(readFileSync(path, 'utf8'), was);
  writeFileSync(path, '{');
  await assert.rejects(revoke('DNS:a'), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  assert.deepEqual([readFileSync(path, 'utf8'), readdirSync(folder)], ['{', ['policy.json']]);
});

test('an edit that writes nothing leaves the file that was there', async () => {
  const { ino } = statSync(path);
  assert.equal(await editPolicy(path, ({ version }) => version), 1);
  assert.equal(statSync(path).ino, ino);
});

test('the file keeps its permissions, and its owner and group where root edits it', async () => {
  chmodSync(path, 0o640);
  const root = process.getuid?.() === 0;
  if (root) chownSync(path, 65_534, 65_533);
  const { uid, gid } = statSync(path);
  await revoke('DNS:a');
  const now = statSync(path);
  assert.deepEqual([now.mode & 0o7777, now.uid, now.gid], [0o640, uid, gid]);
  if (root) assert.deepEqual([uid, gid], [65_534, 65_533]);
});

test('a symbolic link stays one: what it leads to is edited', async () => {
  const link = join(folder, 'link.json');
  symlinkSync(path, link);
  await revoke('DNS:a', link);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.deepEqual(revokedIn(path), ['DNS:a']);
});

test('a link that waits where the new text is written first is not followed', async () => {
  const victim = join(folder, 'victim');
  writeFileSync(victim, 'as it was');
  symlinkSync(victim, `${path}.next`);
  await revoke('DNS:a');
  assert.deepEqual([readFileSync(victim, 'utf8'), revokedIn(path)], ['as it was', ['DNS:a']]);
});
