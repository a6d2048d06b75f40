/** Keys that change while they are served: only what has changed is read again, and the event loop has its turns meanwhile. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fs, { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, type TestContext, test } from 'node:test';
import { systemClock } from '../../../lib/clock.ts';
import { subjectKeyId } from '../../../lib/protocol/key-id.ts';
import type { StoredKey } from '../../../lib/server/key-store.ts';
import { ReloadingDirectory } from '../../../lib/server/reloading-directory.ts';

const newKey = () => generateKeyPairSync('ed25519').privateKey;
const idOf = (key: KeyObject) => ({
  keyId: subjectKeyId(createPublicKey(key).export({ type: 'spki', format: 'der' })),
  certificateDigest: undefined,
});
const labels = (keys: readonly StoredKey[]) => keys.map(({ label }) => label);

function folderOf(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const at = (name: string) => join(folder, name);
  const put = (name: string, key: KeyObject) =>
    writeFileSync(at(name), key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return { folder, at, put };
}

/** As if the files had been there for a while. */
function settle(t: TestContext): void {
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 60_000 });
  t.after(() => mock.timers.reset());
}

test('what the system has not let be read is read when it does', async (t) => {
  const { folder, put } = folderOf(t);
  const [old, next, added] = [newKey(), newKey(), newKey()];
  put('a.key', old);
  const directory = new ReloadingDirectory(folder);
  put('a.key', next);
  put('b.key', added);
  settle(t);
  const refused = t.mock.method(fs, 'openSync', () => {
    throw Object.assign(new Error('EIO: i/o error, open'), { code: 'EIO', syscall: 'open' });
  });
  syncBuiltinESMExports();
  try {
    assert.deepEqual(
      (await directory.reload()).problems,
      ['a.key', 'b.key'].map((file) => ({ file, reason: 'EIO: i/o error, open' })),
    );
  } finally {
    refused.mock.restore();
    syncBuiltinESMExports();
  }
  assert.ok(directory.find(idOf(old)));
  const { added: labelled, problems } = await directory.reload();
  assert.deepEqual([labels(labelled), problems], [['a.key', 'b.key'], []]);
  assert.ok(directory.find(idOf(next)) && directory.find(idOf(added)) && !directory.find(idOf(old)));
});

test('what has changed is read again, and nothing else', async (t) => {
  const { folder, at, put } = folderOf(t);
  const [kept, gone, first, second] = [newKey(), newKey(), newKey(), newKey()];
  put('kept.key', kept);
  put('gone.key', gone);
  put('other.key', first);
  settle(t);
  const directory = new ReloadingDirectory(folder);
  const before = directory.find(idOf(kept));
  assert.deepEqual(await directory.reload(), { added: [], removed: [], problems: [] });
  assert.equal(directory.find(idOf(kept)), before);

  // Another file of the same name, size and time.
  put('new', second);
  utimesSync(at('other.key'), 1000, 1000);
  utimesSync(at('new'), 1000, 1000);
  renameSync(at('new'), at('other.key'));
  rmSync(at('gone.key'));
  put('added.key', newKey());
  const { added, removed } = await directory.reload();
  assert.deepEqual(
    [labels(added), labels(removed)],
    [
      ['added.key', 'other.key'],
      ['gone.key', 'other.key'],
    ],
  );
  assert.equal(directory.find(idOf(kept)), before, 'the same object: it was not read again');
  assert.equal(directory.find(idOf(second))?.label, 'other.key');
  assert.equal(directory.find(idOf(first)), undefined);
});

test('a file that has just changed is read again: it may have changed twice in one step of its clock', async (t) => {
  const { folder, put } = folderOf(t);
  const key = newKey();
  put('a.key', key);
  const directory = new ReloadingDirectory(folder);
  const before = directory.find(idOf(key));
  await directory.reload();
  assert.notEqual(directory.find(idOf(key)), before);
});

test('a file whose time is ahead of the clock is read until it has stayed the same for a while', async (t) => {
  const { folder, at, put } = folderOf(t);
  const ahead = Date.now() / 1000 + 3600;
  const putAhead = (key: KeyObject) => {
    put('a.key', key);
    utimesSync(at('a.key'), ahead, ahead);
  };
  const [key, other] = [newKey(), newKey()];
  let nowMs = 0;
  t.mock.method(systemClock, 'now', () => nowMs);
  putAhead(key);
  const directory = new ReloadingDirectory(folder);
  const keyAfter = async (ms: number) => {
    nowMs += ms;
    await directory.reload();
    return directory.find(idOf(key));
  };
  const first = await keyAfter(1000);
  const last = await keyAfter(1001);
  assert.notEqual(last, first);
  assert.equal(await keyAfter(500), last, 'the same object: it was not read again');
  putAhead(other);
  assert.equal(await keyAfter(500), undefined);
  assert.equal(directory.find(idOf(other))?.label, 'a.key');
});

test('a file that cannot be used any more keeps its key, and is a problem until it can', async (t) => {
  const { folder, at, put } = folderOf(t);
  const key = newKey();
  put('a.key', key);
  const directory = new ReloadingDirectory(folder);
  writeFileSync(at('a.key'), 'no key');
  settle(t);
  for (let look = 0; look < 2; look += 1) {
    const { added, removed, problems } = await directory.reload();
    assert.deepEqual([added, removed], [[], []]);
    assert.deepEqual(problems, [{ file: 'a.key', reason: 'it holds no private key in PEM' }]);
    assert.equal(directory.find(idOf(key))?.label, 'a.key');
  }
  put('a.key', newKey());
  const { added, removed, problems } = await directory.reload();
  assert.deepEqual([labels(added), labels(removed), problems], [['a.key'], ['a.key'], []]);
});

/** @returns how often the event loop had its turn meanwhile */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  void work.then(() => {
    done = true;
  });
  while (!done) {
    await new Promise(setImmediate);
    turns += 1;
  }
  return turns;
}

test('a look gives way to the event loop, and what it finds takes effect all at once', async (t) => {
  // As if no time passed while they are written: none is settled.
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  t.after(() => mock.timers.reset());
  const { folder, put } = folderOf(t);
  const keys = Array.from({ length: 300 }, newKey);
  keys.forEach((key, at) => void put(`${at}.key`, key));
  const directory = new ReloadingDirectory(folder);
  const [added, last] = [newKey(), newKey()];
  put('00.key', added);
  put('zz.key', last);
  const look = directory.reload();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  for (const each of [added, last]) assert.equal(directory.find(idOf(each)), undefined);
  assert.ok(keys.every((key) => directory.find(idOf(key)) !== undefined));
  assert.ok((await turnsDuring(look)) >= 290);
  for (const each of [added, last]) assert.ok(directory.find(idOf(each)) !== undefined);
  mock.timers.setTime(Date.now() + 60_000);
  await directory.reload();
  assert.ok((await turnsDuring(directory.reload())) >= 3, 'where nothing has changed, too');
});

test('with another passphrase, files that are as they were are read again, those that it did not fit', async (t) => {
  const { folder, at, put } = folderOf(t);
  const [locked, open] = [newKey(), newKey()];
  const cipher = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc' } as const;
  writeFileSync(at('locked.key'), locked.export({ ...cipher, passphrase: 'second' }), { mode: 0o600 });
  put('open.key', open);
  settle(t);
  const directory = new ReloadingDirectory(folder, { passphrase: 'first' });
  const before = directory.find(idOf(open));
  assert.deepEqual(
    [directory.find(idOf(locked)), directory.problems],
    [undefined, [{ file: 'locked.key', reason: 'the passphrase does not fit' }]],
  );
  await directory.reload();
  assert.equal(directory.problems.length, 1);
  directory.passphrase = 'second';
  const { added, problems } = await directory.reload();
  assert.deepEqual([labels(added), problems], [['locked.key'], []]);
  assert.equal(directory.find(idOf(open)), before, 'the same object: it was not read again');
});
