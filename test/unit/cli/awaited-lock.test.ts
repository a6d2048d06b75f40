/** Commands that change the same directory. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { aloneIn } from '../../../lib/cli/awaited-lock.ts';
import { MAIN } from '../../helpers/serve-process.ts';

function newDirectory(context: { after(end: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-alone-'));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('who comes second begins when the first has ended, also where that failed', async (context) => {
  const directory = newDirectory(context);
  const told: string[] = [];
  let [begin, fail]: [() => void, (error: Error) => void] = [assert.fail, assert.fail];
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const first = aloneIn(directory, async () => {
    begin();
    await new Promise((_, reject) => {
      fail = reject;
    }).finally(() => told.push('first ends'));
  });
  await begun;
  const second = aloneIn(directory, async () => told.push('second begins'));
  // It would have begun by now.
  await new Promise(setImmediate);
  fail(new Error('of the first'));
  await assert.rejects(first, /of the first/);
  await second;
  assert.deepEqual(told, ['first ends', 'second begins']);
});

test('init makes nothing in a directory in which another command is at work for too long', async (context) => {
  const directory = newDirectory(context);
  const init = () => spawnSync(process.execPath, [MAIN, 'init', directory], { encoding: 'utf8' });
  const folder = join(directory, 'server');
  mkdirSync(folder);
  await aloneIn(folder, async () => {
    const { status, stderr } = init();
    assert.equal(status, 1);
    assert.match(stderr, /^keyless-tls: Another command has been editing .* for too long\./);
    assert.deepEqual([readdirSync(directory), readdirSync(folder)], [['server'], []]);
  });
  // As flock(1) does for a timer.
  await aloneIn(directory, async () => assert.equal(init().status, 0));
});
