/** `keyless-tls serve` whose open files strangers have taken: it says at its start that they can, and misses nothing by it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const OPEN_FILES = 128;
const STRANGERS = 200;

let setup: KeyServerSetup;
let files: ServeFiles;
let serve: ServeProcess;

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
after(async () => {
  serve.child.kill('SIGKILL');
  await serve.ended;
  files.remove();
});

const policy = (revoked: readonly string[]) => JSON.stringify({ version: 1, clients: [], revoked });

test('a revocation while strangers have all files open counts when they have gone', async () => {
  writeFileSync(files.path('policy'), policy([]));
  const args = [...files.args, '--policy', files.path('policy'), '--handshake-timeout', '60000'];
  serve = new ServeProcess(args, 'serve', process.env, `ulimit -n ${OPEN_FILES}`);
  const port = await serve.port();
  const { 'open-files': limit, needed } = await serve.event('limit-problem');
  assert.deepEqual([limit, needed], [OPEN_FILES, 10_612]);
  const strangers = Array.from({ length: STRANGERS }, () =>
    connect(port, '127.0.0.1').on('error', () => undefined),
  );
  // Those that there is no file for are closed.
  await Promise.race(strangers.map((stranger) => once(stranger, 'close')));
  writeFileSync(files.path('policy'), policy(['DNS:edge-1']));
  const { reason } = await serve.event('policy-problem');
  assert.match(String(reason), /^EMFILE/);
  for (const stranger of strangers) stranger.destroy();
  assert.equal((await serve.event('policy')).revoked, 1);
});
