/**
 * However a benchmark ends, nothing of it is left: it made private keys, and processes. And it ends: whatever of it ends before
 * it does, there is a report.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import type { Report } from '../../../../lib/cli/bench/report.ts';
import { makeAuthority } from '../../../helpers/certificates.ts';
import { gone, type Program, run, start, startCommand, withProgram } from '../../../helpers/programs.ts';
import { portOf } from '../../../helpers/proxying.ts';

const BENCH = fileURLToPath(new URL('../../../../bench/', import.meta.url));
const MAIN = fileURLToPath(new URL('../../../../lib/cli/main.js', import.meta.url));

let temporary: string;
let env: NodeJS.ProcessEnv;
before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  env = { ...process.env, TMPDIR: temporary };
});
after(() => rm(temporary, { recursive: true }));

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** @returns the children of a program, when there are so many */
async function children(program: Program, least: number): Promise<number[]> {
  let found: number[] = [];
  while (found.length < least) {
    await pause(20);
    found = childrenOf(program.pid);
  }
  return found;
}

function wordsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

/** @param word that its command line has, or ends in; @returns it, once it is there */
async function child(program: Program, word: string): Promise<number> {
  for (;;) {
    const all = await children(program, 1);
    const found = all.find((pid) => wordsOf(pid).some((each) => each === word || each.endsWith(`/${word}`)));
    if (found !== undefined) return found;
    await pause(10);
  }
}

test('a signal ends bench with its processes, and removes the keys it made', async () => {
  const program = startCommand(['bench', 'handshakes'], { env });
  await program.prints(/1 of 1, about/);
  // Key server, clients, and by then perhaps an edge.
  const processes = await children(program, 2);
  assert.equal((await readdir(temporary)).length, 1);
  const { code, stdout, stderr } = await program.end('SIGTERM');
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /keyless-tls: SIGTERM: the benchmark was ended/);
  await Promise.all(processes.map(gone));
  assert.deepEqual(await readdir(temporary), []);
});

test('signals that follow each other end it no otherwise: the keys are removed before one of them does', async () => {
  const program = startCommand(['bench', 'handshakes'], { env });
  await program.prints(/1 of 1, about/);
  const processes = await children(program, 2);
  const { stderr } = await program.endMany('SIGHUP');
  await Promise.all(processes.map(gone));
  assert.deepEqual(await readdir(temporary), []);
  // Until the folder is gone, all of them are heard; from then on any of them may end the process.
  assert.ok(stderr.split('SIGHUP: the benchmark').length <= 2, stderr);
});

const INTERRUPTED = /^SIGTERM: the benchmark was ended before its time/m;
/** Whose clean-up is the moment at which a signal comes; a workshop's goes on when the process has heard it. */
const LATE = {
  'a workshop': `
    const [{ inWorkshop }, { Workshop }] = await Promise.all(['session', 'workshop'].map((name) => import(lib + name + '.js')));
    const { close } = Workshop.prototype;
    const { once } = await import('node:events');
    Workshop.prototype.close = async function () {
      process.kill(process.pid, 'SIGTERM');
      await once(process, 'SIGTERM');
      return close.call(this);
    };
    const work = () => inWorkshop({ quick: true, rounds: 1, roundMs: 1, warmUpMs: 1 }, async () => 'done');`,
  'a script without one': `
    const [{ cleaningUp }, { owned }] = await Promise.all(['script', 'children'].map((name) => import(bench + name + '.js')));
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)']);
    const { kill } = child;
    child.kill = (signal) => { process.kill(process.pid, 'SIGTERM'); return kill.call(child, signal); };
    const work = () => cleaningUp(async () => owned(child, 'A child'));`,
} as const;

for (const [what, code] of Object.entries(LATE)) {
  test(`a signal that comes while ${what} whose work is done is cleaned up does not keep that from being done`, async () => {
    const [lib, bench] = ['../../../../lib/cli/bench/', '../../../../bench/'].map(
      (path) => new URL(path, import.meta.url).href,
    );
    const script = `const [lib, bench] = ${JSON.stringify([lib, bench])};${code}
      await work().catch(({ message }) => { console.error(message); });`;
    const ended = await run(process.execPath, ['--input-type=module', '-e', script], { env });
    assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr);
    // One that is heard while the last things of the process are done ends it no earlier.
    if (what === 'a workshop') assert.match(ended.stderr, INTERRUPTED);
    assert.deepEqual(await readdir(temporary), []);
  });
}

for (const [script, least] of [
  ['gate.js', 2],
  ['handshake.js', 2],
  ['overhead.js', 2],
  ['parts.js', 2],
  ['startup.js', 1],
  ['keyserver.js', 1],
  ['proxy.js', 3],
] as const) {
  test(`so do the scripts of bench/: ${script}`, async () => {
    const program = start(process.execPath, [join(BENCH, script)], { env });
    // Before, it has made nothing that it would have to remove.
    while ((await readdir(temporary)).length === 0) await pause(5);
    const processes = await children(program, least);
    const { code, stderr } = await program.end('SIGINT');
    assert.equal(code, 1);
    assert.match(stderr, /^SIGINT: the benchmark was ended before its time/m);
    await Promise.all(processes.map(gone));
    assert.deepEqual(await readdir(temporary), []);
  });
}

for (const [what, script, words, victim, reason] of [
  ['its key server', 'keyserver.js', ['1', '1'], '--serve', /^The key server has ended: SIGKILL\.$/m],
  [
    'a proxy',
    'proxy.js',
    ['1000', '1', '0'],
    '--hand-written',
    /^The hand-written proxy has ended: SIGKILL\.$/m,
  ],
  ['the other proxy', 'proxy.js', ['1000', '1', '0'], 'proxy', /^keyless-tls proxy has ended: SIGKILL\.$/m],
  ['the backend', 'proxy.js', ['1000', '1', '0'], '--backend', /^The backend has ended: SIGKILL\.$/m],
  ['the app', 'startup.js', [], 'startup-app.js', /^The app has ended: SIGKILL\.$/m],
] as const) {
  test(`a script of bench/ whose child ends (${what}) says so, and leaves neither the others nor keys`, async () => {
    const program = start(process.execPath, [join(BENCH, script), ...words], { env });
    const killed = await child(program, victim);
    const others = childrenOf(program.pid);
    process.kill(killed, 'SIGKILL');
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 1, stderr);
    assert.match(stderr, reason);
    assert.equal(stdout, '');
    await Promise.all(others.map(gone));
    assert.deepEqual(await readdir(temporary), []);
  });
}

test('a script of bench/ with edges whose key server ends says so, and leaves nothing', async () => {
  const program = start(process.execPath, [join(BENCH, 'handshake.js')], { env });
  const edge = await child(program, 'edge-process.js');
  process.kill(await child(program, 'serve'), 'SIGKILL');
  const { code, stdout, stderr } = await program.ended;
  assert.deepEqual([code, stdout], [1, ''], stderr);
  assert.match(stderr, /^The key server of the benchmark has ended: /m);
  await gone(edge);
  assert.deepEqual(await readdir(temporary), []);
});

test('a script of bench/ that nobody reads any more says so, and leaves nothing', async () => {
  const values = [join(BENCH, 'startup.js'), '--rounds=1'];
  const child = spawn(process.execPath, values, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^What was to be printed could not be written: write EPIPE$/m);
  assert.doesNotMatch(stderr, /^\s+at /m);
  assert.deepEqual(await readdir(temporary), []);
});

test('an edge that does not start says why, and ends', async () => {
  const { Edge } = await import('../../../../lib/cli/bench/edge.ts');
  const edge = new Edge();
  const listening = edge.listen({ mode: 'native', sites: { 'P-256': { cert: 'none', key: 'none' } } });
  await assert.rejects(listening, {
    code: 'ERR_KEYLESS_CONNECTION',
    message: /^An edge \(native\) did not start: .*PEM/,
  });
  await edge.gone;
});

test('what a child ends with it says, and not what came of it', async () => {
  const url = new URL('../../../../bench/', import.meta.url).href;
  const script = `
    const { besideChildren, owned } = await import('${url}children.js');
    const { spawn } = await import('node:child_process');
    const child = spawn('sh', ['-c', 'read line; exit 3']);
    owned(child, 'A child');
    // It breaks before its end is heard.
    const work = async () => { child.stdin.end('go'); throw new Error('read ECONNRESET'); };
    await besideChildren(work()).catch(({ message }) => console.log(message));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env });
  assert.equal(stdout, 'A child has ended: exit code 3.\n');
});

for (const [what, words, expected, reason] of [
  [
    'a module that is not there',
    ['--module=/nope.js'],
    2,
    /^A module is a file; there is none at "\/nope\.js"\.$/m,
  ],
  ['no module', ['--module='], 2, /^A module is a file; there is none at ""\.$/m],
  ['a program that is not there', ['--node=/nope'], 1, /^The app has ended: spawn \/nope ENOENT\.$/m],
  ['a program that says nothing', ['--node=/bin/true'], 1, /^The app has ended: exit code 0\.$/m],
] as const) {
  test(`startup.js with ${what} says so, and leaves nothing`, async () => {
    const { code, stdout, stderr } = await run(process.execPath, [join(BENCH, 'startup.js'), ...words], {
      env,
    });
    assert.deepEqual([code, stdout], [expected, ''], stderr);
    assert.match(stderr, reason);
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.deepEqual(await readdir(temporary), []);
  });
}

test('a transfer that is cut short is no measurement', async () => {
  const { download } = await import('../../../../bench/transfer.ts');
  const authority = await makeAuthority();
  const { certPem: cert, keyPem: key } = await authority.issue({ type: 'p256' });
  const server = tls.createServer({ cert, key }, (socket) => void socket.end('x'.repeat(1000)));
  try {
    const port = await portOf(server);
    await download(port, 1000);
    await assert.rejects(download(port, 1001), { message: 'A transfer ended after 1000 of 1001 bytes.' });
  } finally {
    server.close();
  }
});

test('so does profile.js, with the map of what V8 compiles, which is not in a folder of its own', async () => {
  const program = start(process.execPath, [join(BENCH, 'profile.js')], {
    cwd: temporary,
    env: withProgram('perf', 'exit 0', env),
  });
  const map = `/tmp/perf-${await child(program, 'edge-process.js')}.map`;
  while (!existsSync(map)) await pause(5);
  const { code, stderr } = await program.end('SIGINT');
  assert.equal(code, 1);
  assert.match(stderr, /^SIGINT: the benchmark was ended before its time/m);
  assert.ok(!existsSync(map));
  assert.deepEqual(await readdir(temporary), []);
});

test('profile.js says that perf does not work, and leaves nothing', async () => {
  const failing = { env: withProgram('perf', 'exit 1', env) };
  const { code, stderr } = await run(process.execPath, [join(BENCH, 'profile.js')], failing);
  assert.deepEqual([code, stderr.split('\n').length], [1, 2], stderr);
  assert.match(stderr, /^`perf version` failed: is it installed/);
  assert.deepEqual(await readdir(temporary), []);
});

test('a terminal tells the key server too: that it has not started then is no failure', async () => {
  const program = startCommand(['bench', 'handshakes'], { env });
  const keyServer = await child(program, 'serve');
  process.kill(program.pid, 'SIGINT');
  process.kill(keyServer, 'SIGKILL');
  const { code, stderr } = await program.ended;
  assert.equal(code, 1);
  assert.match(stderr, /SIGINT: the benchmark was ended/);
  assert.deepEqual(await readdir(temporary), []);
});

test('where the clients end, their question is not measured, the next one is, and the report says so', async () => {
  const program = startCommand(['bench', '--quick', '--json', 'handshakes', 'memory'], { env });
  await program.prints(/1 of 2, about/);
  process.kill(await child(program, 'client-process.js'), 'SIGKILL');
  const { code, stdout } = await program.ended;
  assert.equal(code, 1);
  const { answers, verdicts } = JSON.parse(stdout) as Report;
  assert.deepEqual(
    answers.map(({ name, failed }) => [name, failed]),
    [
      ['handshakes', true],
      ['memory', false],
    ],
  );
  assert.match(answers[0]!.warnings[0]!, /^This was not measured: .* has ended/);
  for (const { question, state } of verdicts)
    assert.equal(state === 'not measured', question !== 'memory', question);
  assert.deepEqual(await readdir(temporary), []);
});

test('with few open files as many handshakes are held as there can be, and what to do is said', async () => {
  const command = `ulimit -n 700; exec ${process.execPath} ${MAIN} bench --quick --json memory`;
  const { code, stdout } = await run('sh', ['-c', command], { env });
  const [answer] = (JSON.parse(stdout) as Report).answers;
  assert.equal(code, 0, stdout);
  assert.equal((answer!.raw as { readonly count: number }).count, 700 - 300);
  assert.match(answer!.warnings.join(), /allows 400 handshakes at once instead of 500: ulimit -n 800/);
});

test('with too few the question fails with the reason, and the command ends', async () => {
  const command = `ulimit -n 400; exec ${process.execPath} ${MAIN} bench --quick --json memory`;
  const { code, stdout } = await run('sh', ['-c', command], { env });
  assert.equal(code, 1);
  const [answer] = (JSON.parse(stdout) as Report).answers;
  assert.match(answer!.warnings.join(), /not measured: The limit of open files .*: ulimit -n 800/);
});

test('certificates that cannot be made leave nothing: a full disk has no folder of keys', async () => {
  const url = new URL('../../../../lib/cli/bench/sites.js', import.meta.url).href;
  const script = `import('${url}').then(({ makeSiteFiles }) => makeSiteFiles()).catch(({ code }) => { console.error(code); })`;
  // No file may have a byte.
  const { stderr } = await run('sh', ['-c', 'ulimit -f 0; exec "$0" -e "$1"', process.execPath, script], {
    env,
  });
  assert.match(stderr, /^EFBIG$/m);
  assert.deepEqual(await readdir(temporary), []);
});
