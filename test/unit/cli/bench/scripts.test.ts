/** The scripts of bench/ refuse what they do not know, and say what they do. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { watch } from '../../../../bench/alone.ts';
import { signed } from '../../../../lib/cli/bench/figures-in-words.ts';
import { schedulingOf } from '../../../../lib/cli/bench/process-figures.ts';
import type { Answered } from '../../../../lib/cli/bench/question.ts';
import { reportWith } from '../../../helpers/bench.ts';
import type { Pretended } from '../../../helpers/pretended-gate.ts';
import { run, withProgram } from '../../../helpers/programs.ts';

const BENCH = fileURLToPath(new URL('../../../../bench/', import.meta.url));

for (const [script, word] of [
  ['gate', '--foo'],
  ['gate', 'foo'],
  ['parts', 'FOO'],
  ['profile', 'P-255'],
  ['handshake', 'abc'],
  ['handshake', '0'],
  ['handshake', '1e99'],
  ['handshake', '1000001'],
  ['overhead', '1.5'],
  ['startup', '--rounds=x'],
  ['keyserver', '-1'],
  ['proxy', 'x'],
  ['tables', '/nowhere/report.json'],
  ['tables', BENCH],
  ['tables', join(BENCH, '..', '..', 'package.json')],
] as const) {
  test(`bench:${script} ${word}`, async () => {
    const { code, stdout, stderr } = await run(process.execPath, [join(BENCH, `${script}.js`), word]);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, new RegExp(`\\nTry: npm run bench:${script}`));
    assert.doesNotMatch(stderr, /^\s+at /m);
  });
}

test('with few open files bench:proxy measures no memory of idle connections, and says what to do', async () => {
  const proxy = (limit: number, ...words: readonly string[]) =>
    run('sh', [
      '-c',
      `ulimit -n ${limit}; exec "$0" "$@"`,
      process.execPath,
      join(BENCH, 'proxy.js'),
      ...words,
    ]);
  for (const [limit, wanted, reason] of [
    [90, 100, /no room for 100 idle connections over tcp: ulimit -n 300$/m],
    [101, 1, /over tcp: ulimit -n 102$/m],
    [299, 5000, /over tcp: ulimit -n 10100$/m],
  ] as const) {
    const { code, stdout, stderr } = await proxy(limit, '1', '1', String(wanted));
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.match(stderr, reason);
  }
});

test('bench:proxy knows the CPU of small rounds, which take less than the 10 ms that the kernel counts in', async () => {
  const { code, stdout, stderr } = await run(process.execPath, [join(BENCH, 'proxy.js'), '1', '1', '0']);
  assert.equal(code, 0, stderr);
  const found = [...stdout.matchAll(/: (\d+\.\d\d) s CPU for a gigabyte/g)].map(([, value]) => Number(value));
  assert.equal(found.length, 2, stdout);
  assert.ok(found.every((value) => value > 0) && found.some((value) => value % 10 !== 0), stdout);
});

/** Loaded before a script: by what the system says, its processes wait longer each time it is looked at. */
const WAITING = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const read = fs.readFileSync;
let waited = 0;
fs.readFileSync = (path, ...options) => {
  const text = read(path, ...options);
  if (!String(path).endsWith('schedstat')) return text;
  waited += 1e12;
  return text.replace(/ \\d+/, ' ' + waited);
};
syncBuiltinESMExports();`;

for (const [script, words, said, times] of [
  ['proxy', ['1', '1', '0'], /the proxy waited (?=.*hand-written).*keyless-tls proxy/, 1],
  ['startup', ['--rounds=1'], /the app waited (?=.*native).*isolate/, 3],
] as const) {
  test(`bench:${script} says that other programs had the cores`, {
    skip: schedulingOf(process.pid) === undefined && 'this system does not say how long processes wait',
  }, async () => {
    const hook = `data:text/javascript,${encodeURIComponent(WAITING)}`;
    const file = join(BENCH, `${script}.js`);
    const { code, stdout, stderr } = await run(process.execPath, ['--import', hook, file, ...words]);
    assert.deepEqual([code, stderr], [0, '']);
    const warnings = stdout
      .split('\n')
      .filter((line) => line.startsWith('! Other programs disturbed this: '));
    assert.equal(warnings.length, times, stdout);
    for (const warning of warnings) assert.match(warning, said);
  });
}

const PRETENDED = new URL('../../../helpers/pretended-gate.js', import.meta.url).href;

/** Prints a sample in code of this name. */
const PERF = withProgram('perf', 'if [ "$1" = script ]; then echo "7f00 cfree (/usr/lib/libc.so.6)"; fi');

/** A script with a workshop, whose edges are none. */
function pretending(script: string, pretended: Pretended, ...words: readonly string[]) {
  const env = { ...PERF, PRETENDED: JSON.stringify(pretended) };
  return run(process.execPath, ['--import', PRETENDED, join(BENCH, `${script}.js`), ...words], { env });
}

for (const [script, words, times] of [
  ['handshake', ['3'], 2],
  ['parts', ['RSA-2048', '3'], 1],
] as const) {
  test(`bench:${script} says that other programs had the cores, and makes no figures of what it does not know`, async () => {
    const alone = await pretending(script, { costs: [1.2] }, ...words);
    assert.deepEqual([alone.code, alone.stderr], [0, '']);
    assert.doesNotMatch(alone.stdout, /^!|NaN| – /m);
    const { code, stdout, stderr } = await pretending(script, { costs: [1.2], waiting: 0.3 }, ...words);
    assert.deepEqual([code, stderr], [0, '']);
    const warnings = stdout.split('\n').filter((line) => line.startsWith('!'));
    assert.equal(warnings.length, times, stdout);
    for (const warning of warnings)
      assert.match(warning, /^! Other programs disturbed this: the edge waited for its core .* 30 %/);
    // What the signature takes is not known then.
    assert.match(stdout, / – /);
    assert.doesNotMatch(stdout, /NaN/);
  });
}

test('bench:profile says that other programs had the cores', async () => {
  const { stdout: alone } = await pretending('profile', { costs: [1.2] });
  assert.match(alone, /^\| malloc and free \| 1000 \| 1200 \|$[^!]*^\| sum \| 1000 \| 1200 \|\n$/m);
  const { code, stdout, stderr } = await pretending('profile', { costs: [1.2], waiting: 0.3 });
  assert.deepEqual([code, stderr], [0, '']);
  const said = /^! Other programs disturbed this: the edge waited .*(?=.*native 30 %).*remote 30 %/m;
  assert.match(stdout, said);
});

/** Loaded before a script: what it waits for itself is over much sooner. */
const HURRIED = `
const wait = globalThis.setTimeout;
globalThis.setTimeout = (over, ms, ...values) => wait(over, ms / 20, ...values);`;

test('bench:keyserver says of each of its figures that other programs had the cores', {
  skip: schedulingOf(process.pid) === undefined && 'this system does not say how long processes wait',
}, async () => {
  const speed = 'if [ "$1" = speed ]; then echo +F2:0:2048:0.0005; exit; fi';
  const env = withProgram('openssl', `${speed}; PATH="\${PATH#*:}"; exec openssl "$@"`);
  const hooks = [WAITING, HURRIED].flatMap((hook) => [
    '--import',
    `data:text/javascript,${encodeURIComponent(hook)}`,
  ]);
  const words = [...hooks, join(BENCH, 'keyserver.js'), '1', '1'];
  const { code, stdout, stderr } = await run(process.execPath, words, { env });
  assert.equal(code, 0, stderr);
  const lines = stdout.trimEnd().split('\n');
  const said = lines.map((line) => line.startsWith('! Other programs disturbed this: the key server waited'));
  // Of what only its memory is said of, that it waited says nothing.
  const figures = lines.map((line, index) => !said[index] && !line.includes('over 128 connections'));
  assert.equal(figures.filter(Boolean).length, 10, stdout);
  assert.deepEqual(said.slice(1), figures.slice(0, -1), stdout);
  assert.doesNotMatch(stdout, /NaN/);
});

test('a process that has come meanwhile is counted from its own start', async () => {
  const waitsOf = watch();
  const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)']);
  try {
    await once(child.stdout, 'data');
    const { edge, standstill } = waitsOf(child.pid!, [child.pid!]);
    assert.ok(edge === undefined || (edge >= 0 && edge <= 1), String(edge));
    assert.equal(edge === undefined, schedulingOf(process.pid) === undefined);
    assert.equal(standstill, 0);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('bench:tables writes the tables of a kept report, and what disturbed them', async () => {
  const answer: Answered = {
    ...{
      name: 'memory',
      title: 'Memory',
      failed: false,
      rounds: 5,
      words: [],
      plots: [],
      measured: [],
      raw: null,
    },
    ...{ warnings: ['It was disturbed.'], disowned: false, disturbed: true },
    tables: [{ columns: ['KB each', 'native'], rows: [['resident', '57.6']] }],
  };
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-tables-'));
  const tablesOf = (text: string) => {
    const file = join(folder, 'report.json');
    writeFileSync(file, text);
    return run(process.execPath, [join(BENCH, 'tables.js'), file]);
  };
  try {
    const report = reportWith([answer]);
    const { code, stdout, stderr } = await tablesOf(JSON.stringify(report));
    assert.deepEqual([code, stderr], [0, '']);
    const byNpm = `\n> keyless-tls@0.1.0 bench\n> node dist/lib/cli/main.js bench --json\n\n${JSON.stringify(report)}\n`;
    assert.equal((await tablesOf(byNpm)).stdout, stdout);
    for (const damaged of [
      { ...report, machine: null },
      { ...report, machine: {} },
      { ...report, warnings: undefined },
      { ...report, answers: [{ name: 'memory' }] },
      { ...report, answers: [null] },
    ]) {
      const refused = await tablesOf(JSON.stringify(damaged));
      assert.equal(refused.code, 2, refused.stderr);
      assert.match(refused.stderr, /is not what keyless-tls bench --json prints\.$/m);
    }
    const whole =
      '## Memory\n\n| KB each | native |\n| --- | --- |\n| resident | 57.6 |\n\n! It was disturbed.\n';
    assert.ok(stdout.includes(whole), stdout);
    assert.match(
      stdout,
      /^\| A paused handshake's memory.* \| not measured \| something disturbed these rounds \|$/m,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a difference has its sign', () => {
  assert.deepEqual([16.6, 0, -16.6].map(signed), ['+16.6', '+0.000', '-16.6']);
});
