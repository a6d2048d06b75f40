/**
 * However a benchmark ends, nothing of it is left: it made private keys, and processes. And it ends: whatever of it ends before
 * it does, there is a report.
 */
import assert from 'node:assert/strict';
import fs, { existsSync, lstatSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkWritable, writePage } from '../../../../lib/cli/bench/output.ts';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import type { Report } from '../../../../lib/cli/bench/report.ts';
import { replaceFile } from '../../../../lib/cli/replaced-file.ts';
import { gone, type Program, run, runCommand, start, startCommand } from '../../../helpers/programs.ts';

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

for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) {
  test(`${signal} ends bench with its processes, and removes the keys it made`, async () => {
    const program = startCommand(['bench', 'handshakes'], { env });
    await program.prints(/1 of 1, about/);
    // Key server, clients, and by then perhaps an edge.
    const processes = await children(program, 2);
    assert.equal((await readdir(temporary)).length, 1);
    const { code, stdout, stderr } = await program.end(signal);
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`keyless-tls: ${signal}: the benchmark was ended`));
    await Promise.all(processes.map(gone));
    assert.deepEqual(await readdir(temporary), []);
  });
}

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
/** Whose clean-up is the moment at which a signal comes. */
const LATE = {
  'a workshop': `
    const [{ inWorkshop }, { Workshop }] = await Promise.all(['session', 'workshop'].map((name) => import(lib + name + '.js')));
    const { close } = Workshop.prototype;
    Workshop.prototype.close = function () { process.kill(process.pid, 'SIGTERM'); return close.call(this); };
    const work = () => inWorkshop({ quick: true, rounds: 1, roundMs: 1, warmUpMs: 1 }, async () => 'done');`,
  'a script without one': `
    const { cleaningUp } = await import(bench + 'script.js');
    const work = () => cleaningUp(async () => undefined, () => process.kill(process.pid, 'SIGTERM'));`,
} as const;

for (const [what, code] of Object.entries(LATE)) {
  test(`a signal that comes while ${what} whose work is done is cleaned up does not keep that from being done`, async () => {
    const [lib, bench] = ['../../../../lib/cli/bench/', '../../../../bench/'].map(
      (path) => new URL(path, import.meta.url).href,
    );
    const script = `const [lib, bench] = ${JSON.stringify([lib, bench])};${code}
      await work().catch(({ message }) => { console.error(message); });`;
    const { signal, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], { env });
    assert.equal(signal, null, stderr);
    // One that is heard while the last things of the process are done ends it no earlier.
    if (what === 'a workshop') assert.match(stderr, INTERRUPTED);
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

/** @param text of a program that has this name, before all others; @returns an environment with it */
async function withProgram(name: string, text: string): Promise<NodeJS.ProcessEnv> {
  const folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return { ...env, PATH: `${folder}:${env.PATH}` };
}

test('so does profile.js, with the map of what V8 compiles, which is not in a folder of its own', async () => {
  const program = start(process.execPath, [join(BENCH, 'profile.js')], {
    env: await withProgram('perf', 'exit 0'),
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
  const failing = { env: await withProgram('perf', 'exit 1') };
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

for (const [who, question] of [
  ['serve', 'key-server'],
  ['client-process.js', 'handshakes'],
] as const) {
  test(`where the process "${who}" ends, the rest is not measured, and the report says so`, async () => {
    const program = startCommand(['bench', '--quick', '--json', question, 'memory'], { env });
    await program.prints(/1 of 2, about/);
    process.kill(await child(program, who), 'SIGKILL');
    const { code, stdout } = await program.ended;
    assert.equal(code, 1);
    const { answers, verdicts } = JSON.parse(stdout) as Report;
    assert.deepEqual(
      answers.map(({ name, failed }) => [name, failed]),
      // In the order of all questions.
      question === 'handshakes'
        ? [
            ['handshakes', true],
            ['memory', true],
          ]
        : [
            ['memory', true],
            ['key-server', true],
          ],
    );
    for (const { warnings } of answers) assert.match(warnings[0]!, /^This was not measured: .* has ended/);
    assert.ok(verdicts.every(({ state }) => state === 'not measured'));
    assert.deepEqual(await readdir(temporary), []);
  });
}

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

test('a page that cannot be written is refused before anything is measured', async () => {
  for (const path of [join(temporary, 'nowhere', 'x.html'), temporary, '']) {
    const { code, stdout, stderr } = await runCommand(['bench', 'bulk', `--html=${path}`], { env });
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(
      stderr,
      /^keyless-tls: The page cannot be written to .*\nTry: keyless-tls bench --html bench\.html$/m,
    );
    assert.doesNotMatch(stderr, /1 of 1/);
  }
});

test('a page that is there is kept until there is another one', async () => {
  const path = join(temporary, 'page.html');
  await writeFile(path, 'the last one');
  const program = startCommand(['bench', 'handshakes', `--html=${path}`], { env });
  await program.prints(/1 of 1, about/);
  await program.end('SIGTERM');
  assert.equal(readFileSync(path, 'utf8'), 'the last one');
  await rm(path);
});

test('a page whose name is a link to what is not there yet leaves the link, and makes nothing', async () => {
  const [link, target] = [join(temporary, 'link.html'), join(temporary, 'target.html')];
  await symlink(target, link);
  checkWritable(link);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.ok(!existsSync(target));
  await rm(link);
});

test('a page that a full disk has no place for leaves the one that is there, and the message says which', async () => {
  for (const last of ['the last one', undefined]) {
    const path = join(temporary, 'full.html');
    if (last !== undefined) await writeFile(path, last);
    // Nothing can be measured; its page is longer than eight blocks of 512 bytes.
    const command = `ulimit -n 400; ulimit -f 8; exec "$0" "$1" bench --quick --json memory "--html=$2"`;
    const { code, stdout, stderr } = await run('sh', ['-c', command, process.execPath, MAIN, path], { env });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^keyless-tls: The page could not be written to ".*full\.html": EFBIG.* \[EFBIG\]$/m,
    );
    assert.equal((JSON.parse(stdout) as Report).answers.length, 1);
    assert.equal(existsSync(path) ? readFileSync(path, 'utf8') : undefined, last);
    await rm(path, { force: true });
    assert.deepEqual(await readdir(temporary), []);
  }
});

test("a new page is anybody's file, where a link leads to; another one keeps its permissions", async () => {
  const [link, target] = [join(temporary, 'link.html'), join(temporary, 'target.html')];
  await symlink(target, link);
  for (const [text, mode] of [
    ['one', 0o666 & ~process.umask()],
    ['another', 0o640],
  ] as const) {
    if (existsSync(target)) await chmod(target, mode);
    writePage(link, text);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.deepEqual([readFileSync(target, 'utf8'), lstatSync(target).mode & 0o777], [text, mode]);
  }
  writePage('/dev/null', 'no file');
  assert.ok(lstatSync('/dev/null').isCharacterDevice());
  await Promise.all([rm(link), rm(target)]);
});

test('a page has its place whatever its name is, and what is beside it', async () => {
  // As long as names can be.
  const long = join(temporary, `${'x'.repeat(250)}.html`);
  const [page, theirs] = [join(temporary, 'page.html'), join(temporary, 'page.html.next')];
  await writeFile(theirs, 'of somebody else');
  for (const text of ['one', 'another']) {
    for (const path of [long, page]) {
      checkWritable(path);
      writePage(path, text);
      assert.equal(readFileSync(path, 'utf8'), text);
    }
  }
  assert.equal(readFileSync(theirs, 'utf8'), 'of somebody else');
  assert.equal((await readdir(temporary)).length, 3);
  await Promise.all([long, page, theirs].map((path) => rm(path)));
});

const failing = (code: string) => Object.assign(new Error(code), { code });

test('a page is not lost where a system can do less with files than most', async (t) => {
  const path = join(temporary, 'page.html');
  const { fsyncSync, fstatSync } = fs;
  const less = {
    // As of some that are mounted from elsewhere.
    fsyncSync: (file: number) => {
      if (fstatSync(file).isDirectory()) throw failing('EINVAL');
      fsyncSync(file);
    },
    renameSync: () => {
      throw failing('EXDEV');
    },
  };
  for (const name of ['fsyncSync', 'renameSync'] as const) {
    // What others replace is no failure either, where it is in its place.
    const replace = name === 'fsyncSync' ? replaceFile : writePage;
    const method = t.mock.method(fs, name, less[name]);
    syncBuiltinESMExports();
    try {
      for (const text of ['one', 'another']) {
        for (const write of [writePage, replace]) write(path, text);
        assert.equal(readFileSync(path, 'utf8'), text);
      }
      assert.ok(method.mock.callCount() > 0);
    } finally {
      method.mock.restore();
      syncBuiltinESMExports();
    }
    await rm(path);
    assert.deepEqual(await readdir(temporary), []);
  }
});

test('where nothing is printed and no page written, nothing is measured', {
  skip: !existsSync('/proc/self/fdinfo'),
}, async () => {
  const codeOf = async (to: string) => {
    const command = `ulimit -n 400; exec "$0" "$1" bench --quick memory ${to}`;
    const { code, stderr } = await run('sh', ['-c', command, process.execPath, MAIN], { env });
    return [code, /^keyless-tls: Standard output is closed/.test(stderr)];
  };
  assert.deepEqual(await codeOf('>&-'), [2, true]);
  // Asked for.
  assert.deepEqual(await codeOf('>/dev/null'), [1, false]);
});

test('a pipe is no place for a page: nothing waits for who reads it', async () => {
  const path = join(temporary, 'pipe');
  await run('mkfifo', [path]);
  const { code, stderr } = await runCommand(['bench', 'bulk', `--html=${path}`], { env });
  assert.deepEqual([code, /it is a pipe/.test(stderr)], [2, true], stderr);
  await rm(path);
});

const OUTPUT = new URL('../../../../lib/cli/bench/output.js', import.meta.url).href;
/** Prints 64 KiB. */
const PRINTS = `import('${OUTPUT}').then(({ print }) => print('x'.repeat(65536))).catch(({ message }) => { console.error(message); process.exit(1); })`;

for (const [what, limit, to] of [
  // In blocks of 512 bytes: the first write is short, the next one fails.
  ['a disk that fills up', 'ulimit -f 8; ', 'report.json'],
  ['a full disk', '', '/dev/full'],
] as const) {
  test(`a report that ${what} has no place for is no success`, async () => {
    const command = `${limit}exec "$0" -e "$1" > "$2"`;
    const path = join(temporary, to);
    const place = to.startsWith('/') ? to : path;
    const { code, stderr } = await run('sh', ['-c', command, process.execPath, PRINTS, place], { env });
    assert.equal(code, 1);
    assert.match(stderr, /^The report could not be written, and is not whole: (EFBIG|ENOSPC)/);
    await rm(path, { force: true });
  });
}

test('what a report is printed to may be a file or a pipe', async () => {
  const path = join(temporary, 'whole.json');
  const whole = 'exec "$0" -e "$1" > "$2"';
  assert.equal((await run('sh', ['-c', whole, process.execPath, PRINTS, path], { env })).code, 0);
  assert.equal(readFileSync(path, 'utf8').length, 65_536);
  assert.equal((await run(process.execPath, ['-e', PRINTS], { env })).stdout.length, 65_536);
  await rm(path);
});

test('bench whose report cannot be written says so, and fails', async () => {
  // Nothing can be measured: the report says that, and is one.
  const command = `ulimit -n 400; exec ${process.execPath} ${MAIN} bench --quick memory > /dev/full`;
  const { code, stderr } = await run('sh', ['-c', command], { env });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^keyless-tls: The report could not be written, and is not whole: ENOSPC.*\[ENOSPC\]$/m,
  );
});

for (const [what, open] of [
  // Opened for reading, too, so that it can be opened for writing; then nobody reads.
  ['a pipe that nobody reads any more', 'mkfifo "$1"; exec 3<>"$1" 4>"$1" 3>&-; rm "$1"'],
  ['a full disk', 'exec 4>/dev/full'],
] as const) {
  test(`what cannot be told of the progress, to ${what}, is not told: there is a report, and nothing else is left`, async () => {
    // Nothing can be measured: the report says that, and is one.
    const command = `${open}; ulimit -n 400; exec "$0" "$2" bench --quick --json memory 2>&4`;
    const words = [process.execPath, join(temporary, 'pipe'), MAIN];
    const { stdout } = await run('sh', ['-c', command, ...words], { env });
    assert.deepEqual(
      (JSON.parse(stdout) as Report).answers.map(({ name }) => name),
      ['memory'],
    );
    assert.deepEqual(await readdir(temporary), []);
  });
}

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
