/** Isolate where the system, or Node's permission model, does not give what it needs: said in one error, and no more. */
import assert from 'node:assert/strict';
import { execFileSync, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { MAIN } from '../helpers/serve-process.ts';

const ISOLATE = new URL('../../lib/wrap/isolate.js', import.meta.url);
const ATTEMPT = `
  const tls = require('node:tls');
  const attempt = () => {
    try { tls.createSecureContext({ cert: process.env.CERT, key: process.env.KEY }); return 'made'; }
    catch ({ code, message }) { return code + ' ' + message; }
  };`;

let issued: Issued;
before(async () => {
  const authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

/** @param limit of open files @returns what it printed on standard output */
function run(execArgv: readonly string[], source: string, limit = 256): string {
  const { stdout, stderr, status } = spawnSync(
    'sh',
    [
      ...['-c', `ulimit -n ${limit}; exec "$@"`, 'sh', process.execPath],
      ...[...execArgv, '--import', ISOLATE.href, '-e', ATTEMPT + source],
    ],
    { env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem }, encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return stdout;
}

test('without a file descriptor left the context throws, the app lives, and the next context is made', () => {
  const printed = run(
    [],
    `
    const { openSync, closeSync } = require('node:fs');
    tls.createSecureContext();
    const all = [];
    try { for (;;) all.push(openSync('/dev/null')); } catch {}
    const [none, one] = [attempt(), (closeSync(all.pop()), closeSync(all.pop()), attempt())];
    for (const each of all) closeSync(each);
    setImmediate(() => console.log([none, one, attempt()].join('\\n')));`,
    64,
  );
  assert.match(printed, /^(?:ERR_KEYLESS_PLATFORM .*cannot be started.* too many open files.*\n){2}made\n$/);
});

test('a Node.js that is not where it was, may not be run, or does not know where it is, is said', () => {
  for (const [path, reason] of [
    ['/nowhere/node', 'ENOENT of /nowhere/node, or of /dev/null'],
    [ISOLATE.pathname, `EACCES of ${ISOLATE.pathname}, or of /dev/null`],
    // What it is named by without /proc.
    ['node', 'without /proc, Node.js does not know where it is ("node"): start it by its whole path'],
  ]) {
    const preload = `data:text/javascript,process.execPath=${JSON.stringify(path)}`;
    const printed = run(['--import', preload], 'console.log(attempt());');
    const said = `The process that is to hold the keys cannot be started: ${reason}.`;
    assert.equal(printed, `ERR_KEYLESS_PLATFORM ${said}\n`);
  }
});

test('with room for one of the two processes the context throws, and of the one that is ended for it nothing is told', () => {
  const printed = run(
    [],
    `
    const { openSync, closeSync, readFileSync } = require('node:fs');
    tls.createSecureContext();
    process.on('warning', ({ message }) => console.log(message));
    const all = [];
    try { for (;;) all.push(openSync('/dev/null')); } catch {}
    // A pair and a pipe for a process, half of which stays open.
    for (let free = 0; free < 5; free += 1) closeSync(all.pop());
    console.log(attempt());
    const children = () => readFileSync('/proc/self/task/' + process.pid + '/children', 'latin1');
    closeSync(all.pop());
    const look = () => (children() === '' ? setImmediate(() => console.log('gone')) : setImmediate(look));
    look();`,
    64,
  );
  assert.match(printed, /^ERR_KEYLESS_PLATFORM .*cannot be started.*\ngone\n$/);
});

/** What Node itself inherits below 16 and next to it, it hands on to nobody. */
const INHERITED_FD = 40;

/** Runs its arguments as on a system that does not know close_range (436): seccomp(2) answers ENOSYS. */
const WITHOUT_CLOSE_RANGE = `
import ctypes, os, struct, sys
program = struct.pack('HBBI' * 4, 0x20,0,0,0, 0x15,0,1,436, 6,0,0,0x50026, 6,0,0,0x7fff0000)
code = ctypes.create_string_buffer(program)
libc = ctypes.CDLL(None, use_errno=True)
description = struct.pack('HxxxxxxP', 4, ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, description, 0, 0) == 0
assert libc.syscall(436, 1000, 1000, 0) == -1 and ctypes.get_errno() == 38
os.execvp(sys.argv[1], sys.argv[1:])
`;
const SYSTEMS: readonly [name: string, words: readonly string[]][] = [
  ['this system', []],
  ['an older one', ['python3', '-c', WITHOUT_CLOSE_RANGE]],
];

for (const [name, words] of SYSTEMS) {
  test(`what an app has inherited is not open in the processes with its keys, on ${name}`, async () => {
    const source = `
      console.log(attempt());
      require('node:fs').closeSync(${INHERITED_FD});
      process.stdin.resume();`;
    const stdio: StdioOptions = [
      ...['pipe', 'pipe', 'inherit'],
      ...new Array(INHERITED_FD - 3).fill('ignore'),
      'pipe',
    ];
    const node = [process.execPath, '--import', ISOLATE.href, '-e', ATTEMPT + source];
    const [program, ...args] = [...words, ...node] as [string, ...string[]];
    const app = spawn(program, args, {
      stdio,
      env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem },
    });
    try {
      const [said] = await once(app.stdout!, 'data');
      assert.equal(String(said), 'made\n');
      // The other end of a pipe ends when nobody has this one any more; the app lives on.
      await once((app.stdio as unknown as Readable[])[INHERITED_FD]!.resume(), 'end');
      assert.equal(app.exitCode, null);
    } finally {
      app.kill('SIGKILL');
    }
  });
}

const PERMISSION = ['--permission', '--experimental-permission'].find((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag),
);
/** Each has Node load no ES modules by require(). */
const NO_REQUIRE = ['--no-experimental-require-module', '--experimental-network-imports'].filter((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag),
);
const DENIED: readonly [what: string, flags: readonly string[], says: RegExp][] = [
  ['--no-addons', ['--no-addons'], /without --no-addons/],
  ...NO_REQUIRE.map((flag): [string, string[], RegExp] => [
    flag,
    [flag],
    new RegExp(`started, because Node\\.js does not load .* without .*${flag}\\b`),
  ]),
  ['the permission model', [PERMISSION!, '--allow-fs-read=*'], /--allow-addons/],
  [
    'the permission model that allows addons',
    [PERMISSION!, '--allow-fs-read=*', '--allow-addons'],
    /--allow-child-process/,
  ],
];

for (const [what, flags, says] of DENIED) {
  test(`under ${what} the context says which flag is in the way`, () => {
    const printed = run(flags, 'console.log(attempt())');
    assert.match(printed, /^ERR_KEYLESS_PLATFORM /);
    assert.match(printed, says);
  });
}

const preload = (name: string) => fileURLToPath(new URL(`../../lib/wrap/${name}.cjs`, import.meta.url));
for (const flag of NO_REQUIRE) {
  for (const [name, way] of [
    ['--require of isolate', [flag, '--require', preload('isolate')]],
    ['--require of register', [flag, '--require', preload('register')]],
    ['run', [MAIN, 'run', '--', process.execPath, flag]],
  ] as const) {
    test(`${name} where Node.js loads no ES modules by require(), for ${flag}, says so, and what to do`, () => {
      const { stderr, status } = spawnSync(process.execPath, [...way, '-e', ''], { encoding: 'utf8' });
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`start it without .*${flag}\\b`));
      assert.match(stderr, /code: 'ERR_KEYLESS_PLATFORM'/);
    });
  }
}

const VISIT = `
  process.on('warning', ({ code, message }) => console.log(code, message));
  const tls = require('node:tls');
  const server = tls.createServer({ cert: process.env.CERT, key: process.env.KEY }, (socket) => socket.end('x'));
  server.on('tlsClientError', ({ code }) => console.log(code));
  server.listen(0, () => {
    const client = tls.connect({ port: server.address().port, rejectUnauthorized: false });
    client.on('secureConnect', () => console.log('connected')).on('error', () => undefined);
    client.on('close', () => server.close()).resume();
  });`;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-exposed-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a system that sets no limits lets isolate do, in a process that is started in the place of Node.js. */
function visitExposed(env: NodeJS.ProcessEnv = {}): string {
  const [source, library, node, first] = ['exposed.c', 'exposed.so', 'node', 'first.cjs'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  const refusing = (name: string) => `int ${name}(int what, const void *limit) { return -1; }\n`;
  writeFileSync(source, refusing('setrlimit') + refusing('setrlimit64'));
  execFileSync('g++', ['-x', 'c', '-shared', '-fPIC', '-o', library, source]);
  writeFileSync(node, `#!/bin/sh\nLD_PRELOAD='${library}' exec '${process.execPath}' "$@"\n`);
  chmodSync(node, 0o755);
  writeFileSync(first, `process.execPath = ${JSON.stringify(node)};`);
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    ['--require', first, '--require', fileURLToPath(ISOLATE).replace(/js$/, 'cjs'), '-e', VISIT],
    {
      env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem, ...env },
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  assert.equal(status, 0, stderr);
  return stdout;
}

test('where the processes with the keys cannot give up all, a warning says once what, and the app serves', () => {
  const [warning, ...rest] = visitExposed().trim().split('\n');
  assert.match(
    warning!,
    /^KEYLESS_KEY_PROCESS_EXPOSED .*\(missing: notDumpable,noNewDescriptors; docs\/isolate\.md\)/,
  );
  assert.deepEqual(rest, ['connected']);
});

test('with KEYLESS_TLS_HARDENING=require they take no key there, and the warning says why', () => {
  const printed = visitExposed({ KEYLESS_TLS_HARDENING: 'require' });
  assert.match(
    printed,
    /^KEYLESS_KEY_PROCESS_ENDED .*KEYLESS_TLS_HARDENING=require: this system does not let it/m,
  );
  assert.match(printed, /^ERR_KEYLESS_CONNECTION$/m);
  assert.doesNotMatch(printed, /connected/);
});

test('with KEYLESS_TLS_HARDENING=require an app serves where all is given up; another value is refused at the start', () => {
  const visit = (value: string) =>
    spawnSync(process.execPath, ['--import', ISOLATE.href, '-e', VISIT], {
      env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem, KEYLESS_TLS_HARDENING: value },
      encoding: 'utf8',
    });
  assert.equal(visit('require').stdout, 'connected\n');
  assert.match(visit('yes').stderr, /KEYLESS_TLS_HARDENING is "require" or not set, and not "yes"/);
});

test('an app that calls something else process.execPath, later, is served all the same', () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', ISOLATE.href, '-e', `process.execPath = '/nowhere/node'; ${VISIT}`],
    { env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem }, encoding: 'utf8', timeout: 120_000 },
  );
  assert.equal(stdout, 'connected\n', stderr);
});

test('where Node.js needs LD_LIBRARY_PATH to start, the processes with the keys have it, and nothing else of the environment', () => {
  const node = join(folder, 'linked-node');
  writeFileSync(
    node,
    `#!/bin/sh\n[ "$LD_LIBRARY_PATH" = /:/usr/x -a -z "$CERT" ] || exit 127\nexec '${process.execPath}' "$@"\n`,
  );
  chmodSync(node, 0o755);
  const first = join(folder, 'linked.cjs');
  writeFileSync(first, `process.execPath = ${JSON.stringify(node)};`);
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--require', first, '--require', fileURLToPath(ISOLATE).replace(/js$/, 'cjs'), '-e'],
      `process.env.LD_LIBRARY_PATH = '/elsewhere'; ${VISIT}`,
    ],
    {
      cwd: '/usr',
      env: {
        ...process.env,
        CERT: issued.certPem,
        KEY: issued.keyPem,
        LD_LIBRARY_PATH: '..:x',
      },
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  assert.equal(stdout, 'connected\n', stderr);
});

test('in a single executable application the context says why it cannot be, and the app is not started again', () => {
  const isSea = "process.getBuiltinModule('node:sea').isSea = () => true;";
  const before = ['--import', `data:text/javascript,${encodeURIComponent(isSea)}`];
  const printed = run(
    before,
    "console.log(attempt(), require('node:fs').readFileSync('/proc/thread-self/children', 'latin1') + '.')",
  );
  assert.match(printed, /^ERR_KEYLESS_PLATFORM .* is a single executable application, .*\. \.\n$/);
});
