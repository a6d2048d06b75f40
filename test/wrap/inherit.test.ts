/** Forks, threads and cluster workers of an app take part, whichever way keyless-tls came to it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN, type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const APP = fileURLToPath(new URL('../helpers/inheriting-app.js', import.meta.url));
const [ISOLATE, REGISTER] = ['isolate', 'register'].map(
  (name) => new URL(`../../lib/wrap/${name}.js`, import.meta.url),
) as [URL, URL];

let setup: KeyServerSetup;
let files: ServeFiles;
let serve: ServeProcess;

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  serve = new ServeProcess(files.args);
  const { certPem, keyPem } = setup.sites.p256!;
  const identity = { cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' };
  const servers = [`127.0.0.1:${await serve.port()}`];
  const config = JSON.stringify({ version: 1, servers, servername: 'localhost', ...identity });
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  writeFileSync(files.path('edge.key'), setup.edge.keyPem, { mode: 0o600 });
  writeFileSync(files.path('site.crt'), certPem);
  writeFileSync(files.path('site.key'), keyPem, { mode: 0o600 });
  writeFileSync(files.path('site.stub'), makeStub(new X509Certificate(certPem)));
  writeFileSync(files.path('keyless-tls.json'), config);
});
after(async () => {
  serve.child.kill('SIGTERM');
  await serve.ended;
  files.remove();
});

async function printed(args: readonly string[], key: string): Promise<string[]> {
  const child = spawn(process.execPath, [...args, APP, files.path('site.crt'), files.path(key)], {
    cwd: files.folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await text(child.stdout)).trim().split('\n');
}

for (const [mode, key, holders, ways] of [
  [
    'isolate',
    'site.key',
    2,
    [
      ['--import', ISOLATE.href],
      ['--require', fileURLToPath(ISOLATE).replace(/js$/, 'cjs')],
      [MAIN, 'run', '--isolate', '--', process.execPath],
    ],
  ],
  [
    'register',
    'site.stub',
    0,
    [
      ['--import', REGISTER.href],
      ['--require', fileURLToPath(REGISTER).replace(/js$/, 'cjs')],
      [MAIN, 'run', '--', process.execPath],
    ],
  ],
] as const) {
  for (const way of ways) {
    const how = way.find((word) => /^(?:--import|--require|run)$/.test(word));
    test(`${mode} by ${how}: forks, threads and cluster workers inherit it`, async () => {
      const told = `served, ${holders} key holders`;
      assert.deepEqual(await printed(way, key), [
        `fork: ${told}`,
        `worker_threads: ${told}`,
        `worker_threads, evaluated: ${told}`,
        `cluster: ${told}`,
      ]);
    });
  }
}
