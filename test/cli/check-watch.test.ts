/** What `keyless-tls check --watch` tells of key servers that hang, and of those that do what they are there for. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

let setup: KeyServerSetup;
let files: ServeFiles;

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  writeFileSync(files.path('edge.pem'), setup.edge.keyPem, { mode: 0o600 });
  writeFileSync(files.path('site.crt'), setup.sites.p256!.certPem);
});
after(() => files.remove());

function watch(t: TestContext, port: number): ServeProcess {
  const edge = [
    '--cert',
    files.path('edge.crt'),
    '--key',
    files.path('edge.pem'),
    '--ca',
    files.path('ca.crt'),
  ];
  const what = ['--server', `127.0.0.1:${port}`, '--site', files.path('site.crt'), '--timeout', '1500'];
  const watching = new ServeProcess([...edge, ...what, '--watch'], 'check');
  t.after(() => watching.child.kill('SIGKILL'));
  return watching;
}

test('a key server that answers no signature is told of by name, as one that took too long, and counts as failing', async (t) => {
  const silent = await startBadKeyServer(setup);
  t.after(() => silent.close());
  silent.manner = 'silent';
  const watching = watch(t, silent.port);
  const { reason, message, site } = await watching.event('site-problem');
  assert.deepEqual([reason, site], ['ERR_KEYLESS_TIMEOUT', files.path('site.crt')]);
  assert.match(
    String(message),
    new RegExp(`key server 127.0.0.1:${silent.port} did not answer within \\d{4} ms`),
  );
  // Two signatures a second that it is to blame for.
  await watching.event('server', ({ errors }) => Number(errors) >= 4);
  await watching.event('server', ({ breaker }) => breaker !== 'closed');
});

test('a key server without ticket keys is asked for none: it has no errors, and there is no line of a lease', async (t) => {
  const serve = new ServeProcess([...files.args, '--quiet']);
  t.after(() => serve.child.kill('SIGKILL'));
  const watching = watch(t, await serve.port());
  const { errors } = await watching.event('server', ({ answered }) => Number(answered) >= 6);
  assert.equal(errors, 0);
  assert.equal(
    watching.events.find(({ event }) => event === 'lease'),
    undefined,
  );
});
