/** Where a report goes: that it is whole there, or that it is said that it is not; and that what is there already is not lost. */
import assert from 'node:assert/strict';
import fs, { existsSync, lstatSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkWritable, writePage } from '../../../../lib/cli/bench/output.ts';
import type { Report } from '../../../../lib/cli/bench/report.ts';
import { replaceFile } from '../../../../lib/cli/replaced-file.ts';
import { run, runCommand, startCommand } from '../../../helpers/programs.ts';

const MAIN = fileURLToPath(new URL('../../../../lib/cli/main.js', import.meta.url));

let temporary: string;
let env: NodeJS.ProcessEnv;
before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  env = { ...process.env, TMPDIR: temporary };
});
after(() => rm(temporary, { recursive: true }));

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

test('bench whose report cannot be written says so, and fails', async () => {
  // Nothing can be measured: the report says that, and is one.
  const command = `ulimit -n 400; exec ${process.execPath} ${MAIN} bench --quick memory > /dev/full`;
  const { code, stderr } = await run('sh', ['-c', command], { env });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^keyless-tls: What was to be printed could not be written, and is not whole: ENOSPC.*\[ENOSPC\]$/m,
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
