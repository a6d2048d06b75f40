/** What holds a process whose handshake waits for its key: what natively does, and nothing of ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../helpers/programs.ts';

const APP = fileURLToPath(new URL('../helpers/unrefd-app.js', import.meta.url));
const PATIENCE_MS = 30_000;

/** @returns what the process says of its handshake, and how it ends */
async function story(holder: 'all' | 'client', mode: 'native' | 'keyless') {
  const startedAt = performance.now();
  const { code, stdout, stderr } = await run(process.execPath, [APP, holder, mode]);
  assert.equal(stderr, '');
  assert.ok(performance.now() - startedAt < PATIENCE_MS, 'it ends long before its operation would');
  return { code, said: stdout.trim().split('\n') };
}

test('a process whose sockets are all unref()ed ends while an operation is pending', async () => {
  const native = await story('all', 'native');
  assert.equal(native.code, 0);
  const { code, said } = await story('all', 'keyless');
  assert.deepEqual({ code, said }, { code: 0, said: ['asked'] });
});

test('a socket that is not read from meanwhile holds the process, as natively, until its operation is done', async () => {
  assert.deepEqual(await story('client', 'native'), { code: 0, said: ['secure'] });
  assert.deepEqual(await story('client', 'keyless'), { code: 0, said: ['asked', 'secure'] });
});
