/** What a command prints once: it is whole where it was redirected to, or the command has failed and says so. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeAuthority } from '../../helpers/certificates.ts';
import { run } from '../../helpers/programs.ts';

const MAIN = fileURLToPath(new URL('../../../lib/cli/main.js', import.meta.url));

let temporary: string;
before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
});
after(() => rm(temporary, { recursive: true }));

const OUTPUT = new URL('../../../lib/cli/standard-output.js', import.meta.url).href;
/** Prints 64 KiB. */
const PRINTS = `import('${OUTPUT}').then(({ print }) => print('x'.repeat(65536))).catch(({ message }) => { console.error(message); process.exit(1); })`;

for (const [what, limit, to] of [
  // In blocks of 512 bytes: the first write is short, the next one fails.
  ['a disk that fills up', 'ulimit -f 8; ', 'printed'],
  ['a full disk', '', '/dev/full'],
] as const) {
  test(`what ${what} has no place for is no success`, async () => {
    const command = `${limit}exec "$0" -e "$1" > "$2"`;
    const path = join(temporary, to);
    const place = to.startsWith('/') ? to : path;
    const { code, stderr } = await run('sh', ['-c', command, process.execPath, PRINTS, place]);
    assert.equal(code, 1);
    assert.match(stderr, /^What was to be printed could not be written, and is not whole: (EFBIG|ENOSPC)/);
    await rm(path, { force: true });
  });
}

test('what is printed to may be a file or a pipe', async () => {
  const path = join(temporary, 'whole');
  const whole = 'exec "$0" -e "$1" > "$2"';
  assert.equal((await run('sh', ['-c', whole, process.execPath, PRINTS, path])).code, 0);
  assert.equal(readFileSync(path, 'utf8').length, 65_536);
  assert.equal((await run(process.execPath, ['-e', PRINTS])).stdout.length, 65_536);
  await rm(path);
});

const NO_READER = 'mkfifo "$1/pipe"; exec 3<>"$1/pipe" 4>"$1/pipe" 3>&-; rm "$1/pipe"; cd "$1"';

/** Runs a command with descriptor 4 as its standard output, in the temporary folder. */
function runTo(open: string, ...words: string[]) {
  const script = `${open}; shift; exec "$0" "$@" >&4`;
  return run('sh', ['-c', script, process.execPath, temporary, MAIN, ...words]);
}

test('every command whose output has no place says so in one line, and fails; what it was to do is done', async () => {
  const { certPem } = await (await makeAuthority()).issue({ type: 'p256' });
  const policy = join(temporary, 'policy.json');
  await writeFile(join(temporary, 'site.crt'), certPem);
  await writeFile(join(temporary, 'audit-000000000001.log'), '');
  await writeFile(
    policy,
    JSON.stringify({ version: 1, clients: [{ name: 'edge-1', identities: ['DNS:edge-1'] }] }),
  );
  for (const [open, code] of [
    [NO_READER, 'EPIPE'],
    ['exec 4>/dev/full; cd "$1"', 'ENOSPC'],
  ] as const) {
    for (const words of [
      ...[['--help'], ['--version'], ['serve', '--help'], ['stub', 'site.crt']],
      ...[
        ['audit', 'verify', '.'],
        ['revoke', '--policy', policy, 'DNS:edge-1'],
        ['demo', '--once'],
      ],
    ]) {
      const { code: exitCode, stderr } = await runTo(open, ...words);
      assert.equal(exitCode, 1, words.join(' '));
      const expected = `^keyless-tls: What was to be printed could not be written, and is not whole: .* \\[${code}\\]\n$`;
      assert.match(stderr, new RegExp(expected), words.join(' '));
    }
    const { revoked } = JSON.parse(readFileSync(policy, 'utf8')) as { revoked: readonly unknown[] };
    assert.equal(revoked.length, 1);
  }
});

test('init makes all of its files whether it is read what it tells of them, or not', async () => {
  const { code, stderr } = await runTo(
    NO_READER,
    'init',
    'fleet',
    '--server',
    'keys.example',
    '--edge',
    'edge-1',
  );
  assert.equal(code, 1);
  assert.match(stderr, /EPIPE/);
  assert.ok(readFileSync(join(temporary, 'fleet', 'edges', 'edge-1', 'ca.crt')).length > 0);
});

test('where standard error has no place either, the exit code is what it would be', async () => {
  for (const [words, code] of [
    [[], 2],
    [['sevre'], 2],
    [['stub', 'nothing.crt'], 2],
    [['audit', 'verify', 'nowhere'], 1],
  ] as const) {
    const script = 'cd "$1"; shift; exec "$0" "$@" >/dev/full 2>&1';
    const outcome = await run('sh', ['-c', script, process.execPath, temporary, MAIN, ...words]);
    assert.deepEqual([words, outcome.code, outcome.signal], [words, code, null]);
  }
});

test('however often something is printed, Node warns of nothing', async () => {
  const often = `import('${OUTPUT}').then(async ({ print, unlessLost }) => {
    for (let count = 0; count < 20; count += 1) await print('x');
    for (let count = 0; count < 20; count += 1) unlessLost(process.stdout).write('x');
  })`;
  const { stdout, stderr } = await run(process.execPath, ['-e', often]);
  assert.deepEqual([stdout.length, stderr], [40, '']);
});
