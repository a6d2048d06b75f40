import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Outcome, runCommand } from '../../helpers/programs.ts';

const manifest = new URL('../../../../package.json', import.meta.url);

/** All that `--help` lists: a command that is added is held to the same. */
const COMMANDS = [...(await runCommand(['--help'])).stdout.matchAll(/^ {2}(\w+) {2,}\w/gm)].map(
  ([, name]) => name!,
);

function wronglyCalled({ code, signal, stdout, stderr }: Outcome, message: string, hint: string): void {
  assert.deepEqual({ code, signal, stdout }, { code: 2, signal: null, stdout: '' });
  assert.equal(stderr, `keyless-tls: ${message}\nTry: ${hint}\n`);
}

for (const word of ['--help', '-h', 'help']) {
  test(`${word} tells the commands, the exit codes and examples, and ends with 0`, async () => {
    const { code, stdout, stderr } = await runCommand([word]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    assert.match(stdout, /^Usage: keyless-tls <command> \[options\]$/m);
    assert.match(stdout, /^Exit codes: 0 well, 1 failed, 2 called wrongly\.$/m);
    for (const name of ['demo', 'serve']) assert.ok(COMMANDS.includes(name));
    assert.match(stdout, /^Examples:\n {2}keyless-tls demo$/m);
  });
}

test('without a command it says the same on standard error, and ends with 2', async () => {
  const [called, help] = await Promise.all([runCommand([]), runCommand(['--help'])]);
  assert.deepEqual([called.code, called.stdout, called.stderr], [2, '', help.stdout]);
});

test('--version is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  assert.deepEqual(await runCommand(['--version']), {
    code: 0,
    signal: null,
    stdout: `${version}\n`,
    stderr: '',
  });
});

test('a command that is not there is called by its name, with where to look', async () => {
  wronglyCalled(await runCommand(['sevre']), 'There is no command "sevre".', 'keyless-tls --help');
  wronglyCalled(await runCommand(['a\nb']), 'There is no command "a\\nb".', 'keyless-tls --help');
});

for (const command of COMMANDS) {
  test(`${command} --help has a usage line, options, and an example`, async () => {
    for (const values of [['--help'], ['--colour', '-h']]) {
      const { code, stdout, stderr } = await runCommand([command, ...values]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      assert.ok(stdout.startsWith(`keyless-tls ${command}: `));
      assert.match(stdout, new RegExp(`^Usage: keyless-tls ${command} `, 'm'));
      assert.match(stdout, new RegExp(`^Examples?:\n {2}keyless-tls ${command}\\b`, 'm'));
      assert.match(stdout, /^ {2}--[a-z-]+ +\w/m);
    }
  });

  test(`${command} refuses options that it does not know`, async () => {
    for (const value of ['--colour', '-x']) {
      const { code, stdout, stderr } = await runCommand([command, value]);
      assert.deepEqual({ value, code, stdout }, { value, code: 2, stdout: '' });
      assert.match(stderr, /^keyless-tls: .+\nTry: keyless-tls [^\n]+\n$/, value);
      assert.match(stderr, new RegExp(value));
    }
  });
}
