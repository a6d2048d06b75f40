import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { tryLockFile } from '../../../lib/engine/file-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const LOCK = new URL('../../../lib/engine/file-lock.js', import.meta.url).href;
/** Locks the file of its argument, says whether it could, and stays until its input ends. */
const HOLDER = `
  const { tryLockFile } = await import(${JSON.stringify(LOCK)});
  const { openSync } = await import('node:fs');
  console.log(tryLockFile(openSync(process.argv[1], 'a')));
  process.stdin.resume();
`;
const holder = (path: string) => ['--input-type=module', '-e', HOLDER, path];

function isFree(path: string): boolean {
  const { stdout } = spawnSync(process.execPath, holder(path), { encoding: 'utf8', input: '' });
  return stdout.trim() === 'true';
}

test('one open of a file has its lock, in this process and among others, until it is closed', () => {
  const path = join(folder, 'one');
  const [file, again] = [openSync(path, 'a'), openSync(path, 'a')];
  assert.deepEqual([tryLockFile(file), tryLockFile(again), isFree(path)], [true, false, false]);
  closeSync(openSync(path, 'a'));
  assert.equal(isFree(path), false, 'another descriptor that is closed changes nothing');
  closeSync(file);
  assert.deepEqual([tryLockFile(again), isFree(path)], [true, false]);
  closeSync(again);
  assert.equal(isFree(path), true);
});

test('the lock of a process that is killed is free at once', async () => {
  const path = join(folder, 'killed');
  const child = spawn(process.execPath, holder(path), { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.equal(String((await once(child.stdout, 'data'))[0]).trim(), 'true');
  assert.equal(isFree(path), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(isFree(path), true);
});

test('what is no open file is an error, not a lock', () => {
  const file = openSync(join(folder, 'closed'), 'a');
  closeSync(file);
  assert.throws(() => tryLockFile(file), { code: 'EBADF' });
});
