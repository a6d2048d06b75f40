/** Forks, threads and cluster workers of an app take part, whichever way keyless-tls came to it, and in whatever directory. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN, type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
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
  mkdirSync(files.path('node_modules'));
  symlinkSync(ROOT, files.path('node_modules/keyless-tls'));
});
after(async () => {
  serve.child.kill('SIGTERM');
  await serve.ended;
  files.remove();
});

interface Way {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly moved?: boolean;
}

function everyKind(holders: number): string[] {
  const kinds = ['fork', 'worker_threads', 'worker_threads, evaluated', 'cluster'];
  return kinds.map((kind) => `${kind}: served, ${holders} key holders`);
}

async function printed({ args, env = {}, moved = false }: Way, key: string): Promise<string[]> {
  const words = [...args, APP, files.path('site.crt'), files.path(key), ...(moved ? ['moved'] : [])];
  const child = spawn(process.execPath, words, {
    cwd: files.folder,
    env: { ...process.env, ...env },
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
  const all = everyKind(holders);
  const howOf = (args: readonly string[]) =>
    `${args.find((word) => /^(?:--import|--require|run)$/.test(word))}`;
  for (const args of ways) {
    const how = howOf(args);
    test(`${mode} by ${how}: forks, threads and cluster workers inherit it`, async () => {
      assert.deepEqual(await printed({ args }, key), all);
    });
  }
  const name = `keyless-tls/${mode}`;
  const unmoved = `./node_modules/keyless-tls/dist/lib/wrap/${mode}`;
  const own: readonly (readonly [how: string, args: readonly string[], env?: NodeJS.ProcessEnv])[] = [
    ...ways.map((args) => [howOf(args), args] as const),
    [`--import ${name}`, ['--import', name, '--expose-gc', '--title', 'mine']],
    [`--import=${name}`, [`--import=${name}`]],
    [`--require ${name}`, ['--title=mine', '--require', name]],
    [`-r ${name}`, ['-r', name]],
    [`--import ${unmoved}.js`, ['--import', `${unmoved}.js`]],
    ['NODE_OPTIONS', [], { NODE_OPTIONS: `--no-warnings "--import" ${name}` }],
  ];
  for (const [how, args, env] of own) {
    test(`${mode} by ${how}: what is started in another directory inherits it`, async () => {
      assert.deepEqual(await printed({ args, env: env ?? {}, moved: true }, key), all);
    });
  }
}

/** Node.js 20 has none. */
if (Number.parseInt(process.versions.node, 10) > 20)
  test("isolate by a file of Node's options: forks, threads and cluster workers inherit it", async () => {
    const path = files.path('options.json');
    writeFileSync(path, JSON.stringify({ nodeOptions: { import: [ISOLATE.href] } }));
    const args = [`--experimental-config-file=${path}`, '--no-warnings'];
    assert.deepEqual(await printed({ args }, 'site.key'), everyKind(2));
  });

test('run finds the configuration where it was started, though its program changes the directory first', async () => {
  const { PATH } = process.env;
  const words = ['run', '--', 'sh', '-c', 'cd / && exec "$@"', 'sh', process.execPath, APP];
  const child = spawn(process.execPath, [MAIN, ...words, files.path('site.crt'), files.path('site.stub')], {
    cwd: files.folder,
    env: { PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.deepEqual((await text(child.stdout)).trim().split('\n'), everyKind(0));
});

test('relative names of files in the environment name the same files in another directory', async () => {
  const { servers, servername } = JSON.parse(readFileSync(files.path('keyless-tls.json'), 'utf8')) as {
    servers: string[];
    servername: string;
  };
  const env = {
    ...{ KEYLESS_TLS_SERVERS: servers.join(), KEYLESS_TLS_SERVERNAME: servername },
    ...{ KEYLESS_TLS_CERT: 'edge.crt', KEYLESS_TLS_KEY: 'edge.key', KEYLESS_TLS_CA: 'ca.crt' },
  };
  for (const args of [
    ['--import', REGISTER.href],
    [MAIN, 'run', '--', process.execPath],
  ])
    assert.deepEqual(await printed({ args, env, moved: true }, 'site.stub'), everyKind(0));
});

test('a process without stubs needs no configuration; with one, the context says that there is none', async () => {
  const source = `
    const { readFileSync } = require('node:fs');
    const [cert, key, stub] = process.argv.slice(1).map((path) => readFileSync(path));
    const tls = require('node:tls');
    tls.createSecureContext({ cert, key });
    try { tls.createSecureContext({ cert, key: stub }); } catch ({ code, message }) { console.log(code, message); }`;
  const paths = ['site.crt', 'site.key', 'site.stub'].map((each) => files.path(each));
  const child = spawn(process.execPath, ['--import', REGISTER.href, '-e', source, ...paths], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.match(
    await text(child.stdout),
    /^ERR_KEYLESS_INVALID_ARGUMENT There is no keyless-tls\.json in \/, and none of /,
  );
});
