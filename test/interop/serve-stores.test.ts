/** `keyless-tls serve --ssh-agent` and `--pkcs11`, as an operator runs them. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startEdge, until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers, type Site } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { PIN, SOFTHSM, SoftHsm } from '../helpers/soft-hsm.ts';
import { SshAgentProcess } from '../helpers/ssh-agent-process.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
let agent: SshAgentProcess;
let hsm: SoftHsm;
let tokenSite: Site;
let pkcs11: readonly string[];
const running: ServeProcess[] = [];

before(async () => {
  [setup, agent] = await Promise.all([makeKeyServers(['p256', 'ed25519']), SshAgentProcess.start()]);
  files = serveFiles(setup);
  await agent.add(setup.sites.p256!.keyPem);
  hsm = new SoftHsm();
  hsm.addToken('keyless');
  const [key] = hsm.generate('keyless', [
    { type: 'p256', label: 'site' },
    { type: 'p256', label: 'another' },
  ]);
  tokenSite = (await setup.authority.issueForPublic(
    key!.export({ type: 'spki', format: 'pem' }) as string,
  )) as Site;
  pkcs11 = [
    '--pkcs11',
    SOFTHSM,
    '--token',
    'keyless',
    '--token-key',
    'site',
    '--pin-file',
    pinFile('pin', PIN),
  ];
});
after(async () => {
  for (const serve of running) serve.child.kill('SIGKILL');
  await Promise.all(running.map((serve) => serve.ended));
  files.remove();
  hsm.remove();
  await agent.end();
});

function pinFile(name: string, pin: string, mode = 0o600): string {
  writeFileSync(files.path(name), `${pin}\n`, { mode });
  return files.path(name);
}

/** Without --keys. */
function start(...more: readonly string[]): ServeProcess {
  const at = files.args.indexOf('--keys');
  const serve = new ServeProcess([...files.args.filter((_, index) => index < at || index > at + 1), ...more]);
  running.push(serve);
  return serve;
}

async function visit(serve: ServeProcess, site: Site): Promise<readonly string[]> {
  const edge = await startEdge(setup, site, [`127.0.0.1:${await serve.port()}`]);
  try {
    return [await edge.visit(), ...edge.errors];
  } finally {
    await edge.close();
  }
}

async function ends(serve: ServeProcess): Promise<void> {
  serve.child.kill('SIGTERM');
  assert.equal(await serve.ended, 0, serve.stderr);
}

test('serve signs with the keys of an SSH agent, and those that are added count', async () => {
  const serve = start('--ssh-agent', agent.path);
  assert.deepEqual(await visit(serve, setup.sites.p256!), ['ok']);
  assert.notEqual((await visit(serve, setup.sites.ed25519!))[0], 'ok');
  await agent.add(setup.sites.ed25519!.keyPem);
  await serve.event('key', ({ kind }) => kind === 'ed25519');
  assert.deepEqual(await visit(serve, setup.sites.ed25519!), ['ok']);
  await ends(serve);
});

test('a locked agent is told of, once by each look and by each signature, and serves again when it is unlocked', async () => {
  const serve = start('--ssh-agent', agent.path);
  await serve.port();
  await agent.lock();
  assert.deepEqual((await visit(serve, setup.sites.p256!)).slice(1), ['ERR_KEYLESS_KEY_SERVER_READ']);
  await serve.event('key-problem', ({ reason }) => /refused to sign .*locked/.test(String(reason)));
  await serve.event('key-problem', ({ reason }) => /lists no keys any more/.test(String(reason)));
  await agent.unlock();
  assert.deepEqual(await visit(serve, setup.sites.p256!), ['ok']);
  await ends(serve);
});

test('serve signs with the key of a token that it was told, beside those of a directory', async () => {
  const serve = start(...pkcs11, '--keys', files.path('keys'));
  assert.deepEqual(await visit(serve, tokenSite), ['ok']);
  assert.deepEqual(await visit(serve, setup.sites.ed25519!), ['ok']);
  const labels = serve.events.filter(({ event }) => event === 'key').map(({ file }) => file);
  assert.deepEqual(labels.sort(), ['ed25519.key', 'p256.key', 'pkcs11 site']);
  await ends(serve);
  const said = JSON.stringify(serve.events) + serve.stderr;
  assert.ok(!said.includes(PIN), 'no PIN in what it says');
});

/** The processes that another one has started. */
function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

/** Not: ended and forgotten, or ended and not reaped yet, or killed and on its way there. */
function runs(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('a token that hangs does not keep serve from ending, and its process ends with it', async () => {
  const serve = start(...pkcs11);
  await serve.port();
  const [token] = childrenOf(serve.child.pid!);
  process.kill(token!, 'SIGSTOP');
  const edge = await startEdge(setup, tokenSite, [`127.0.0.1:${await serve.port()}`]);
  const visiting = edge.visit();
  await ends(serve);
  await visiting;
  await edge.close();
  await until(() => !runs(token!));
});

test('a PIN that changes is read again, and until then tried once', async () => {
  const path = pinFile('changing', PIN);
  const serve = start('--pkcs11', SOFTHSM, '--token', 'keyless', '--token-key', 'site', '--pin-file', path);
  await serve.port();
  pinFile('changing', '000000');
  for (const token of childrenOf(serve.child.pid!)) process.kill(token, 'SIGKILL');
  assert.deepEqual((await visit(serve, tokenSite)).slice(1), ['ERR_KEYLESS_KEY_SERVER_READ']);
  await serve.event('key-problem', ({ reason }) => /CKR_PIN_INCORRECT.*not tried again/.test(String(reason)));
  pinFile('changing', PIN);
  while ((await visit(serve, tokenSite))[0] !== 'ok');
  await ends(serve);
});

const REFUSED: Readonly<Record<string, readonly [() => readonly string[], RegExp]>> = {
  'no place of keys': [() => [], /--keys is missing/],
  'an agent that is not there': [
    () => ['--ssh-agent', files.path('nowhere')],
    /--ssh-agent: The SSH agent at .*nowhere cannot be reached: .*ENOENT/,
  ],
  'an agent without a path': [() => ['--ssh-agent', ''], /--ssh-agent is empty: is SSH_AUTH_SOCK set\?/],
  'a PIN that others may read': [
    () => ['--pkcs11', SOFTHSM, '--pin-file', pinFile('readable', PIN, 0o644)],
    /The file of --pin-file: its permissions are 0644/,
  ],
  'a wrong PIN': [
    () => ['--pkcs11', SOFTHSM, '--token', 'keyless', '--pin-file', pinFile('wrong', '000000')],
    /--pkcs11: The PIN was not accepted by the token "keyless": CKR_PIN_INCORRECT/,
  ],
  'a key that is not in the token': [
    () => [...pkcs11.slice(0, 4), ...pkcs11.slice(6), '--token-key', 'absent'],
    /--pkcs11 has no usable key/,
  ],
  'a token and no module': [
    () => ['--keys', files.path('keys'), '--token', 'keyless'],
    /--token needs --pkcs11/,
  ],
};

for (const [what, [args, message]] of Object.entries(REFUSED)) {
  test(`serve does not start with ${what}, and says so with exit code 2`, async () => {
    const serve = start(...args());
    assert.equal(await serve.ended, 2);
    assert.match(serve.stderr, message);
  });
}
