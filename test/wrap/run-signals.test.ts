/** `keyless-tls run`: its program is the process that was started, and what it is sent is the program's. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { runCommand, run as runProgram, startCommand } from '../helpers/programs.ts';
import { MAIN } from '../helpers/serve-process.ts';

const NOT_FOR_AN_APP = ['KILL', 'STOP', 'SEGV', 'BUS', 'FPE', 'ILL', 'TRAP', 'SYS'].map(
  (name) => `SIG${name}`,
);
/** Some have two names. */
const SIGNALS = [
  ...new Map(Object.entries(constants.signals).map(([name, number]) => [number, name])).values(),
].filter((name) => !NOT_FOR_AN_APP.includes(name)) as NodeJS.Signals[];

const run = (app: string) => startCommand(['run', '--', process.execPath, '-e', app]);

test('every signal that can be caught reaches the program, once; none opens a debugger', async () => {
  const program = run(`
    for (const name of ${JSON.stringify(SIGNALS)}) process.on(name, () => console.log('got', name));
    setInterval(() => undefined, 60_000);
    console.log('runs as', process.pid);`);
  await program.prints(/^runs as \d+$/m);
  for (const signal of SIGNALS) {
    program.signal(signal);
    await program.prints(new RegExp(`^got ${signal}$`, 'm'));
  }
  program.signal('SIGKILL');
  const { stdout, stderr, signal } = await program.ended;
  assert.equal(stdout, [`runs as ${program.pid}`, ...SIGNALS.map((name) => `got ${name}`), ''].join('\n'));
  assert.equal(stderr, '');
  assert.equal(signal, 'SIGKILL');
});

test('a signal that the program does not answer ends it, and leaves nothing behind', async () => {
  for (const name of ['SIGQUIT', 'SIGALRM', 'SIGABRT', 'SIGTERM'] as const) {
    const program = run(`setInterval(() => undefined, 60_000); console.log('runs as', process.pid)`);
    const [line] = await program.prints(/^runs as \d+$/m);
    assert.equal(line, `runs as ${program.pid}`);
    program.signal(name);
    assert.equal((await program.ended).signal, name);
  }
});

test('the program has the streams, the directory, the environment and the open files that it has without', async () => {
  const script = 'read line; echo "$line $PWD $MINE"; echo told >&2; ls /proc/self/fd | wc -l; exit 7';
  const options = { input: 'a line\n', cwd: '/usr', env: { ...process.env, MINE: 'größe' } };
  const without = await runProgram('sh', ['-c', script], options);
  assert.match(without.stdout, /^a line \/usr größe\n\d+\n$/);
  assert.deepEqual([without.stderr, without.code], ['told\n', 7]);
  assert.deepEqual(await runCommand(['run', '--isolate', '--', 'sh', '-c', script], options), without);
});

test('the program has the arguments that it has without, whatever bytes they are', async () => {
  const script = `printf '%s|' "$@" | od -An -c`;
  const starts = `bytes=$(printf 'caf\\351'); exec "$@" sh -c "$SCRIPT" sh "$bytes" '' größe --isolate "$bytes"`;
  const options = { env: { ...process.env, SCRIPT: script } };
  const without = await runProgram('sh', ['-c', starts, 'sh', 'env'], options);
  assert.match(without.stdout, / 351 .* 351 /s);
  const through = ['sh', process.execPath, MAIN, 'run', '--'];
  assert.deepEqual(await runProgram('sh', ['-c', starts, ...through], options), without);
});

test('a program that cannot be started is said, with what to do', async () => {
  for (const [program, reason] of [
    ['no-such-program', 'ENOENT'],
    ['/usr', 'EACCES'],
    ['', 'ENOENT'],
  ] as const) {
    const { stderr, code } = await runCommand(['run', '--', program]);
    assert.equal(
      stderr,
      `keyless-tls: "${program}" cannot be started: ${reason}\nTry: keyless-tls run --help\n`,
    );
    assert.equal(code, 2);
  }
});
