/** What a process that holds keys can still do: each system call that would bring it out is made, and refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../../helpers/programs.ts';
import { type Answers, readAnswers, systemCallLibrary } from '../../helpers/system-calls.ts';

const PROGRAM = fileURLToPath(new URL('../../helpers/hardened-program.js', import.meta.url));
const { EPERM, ENOSYS, EMFILE } = constants.errno;

let folder: string;
let without: Answers;
let hardened: Answers;
let told: Record<string, boolean>;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-hardening-'));
  const outcome = await start(process.execPath, [PROGRAM, systemCallLibrary(folder)], {}).ended;
  assert.equal(outcome.code, 0, outcome.stderr);
  [without, hardened] = readAnswers(outcome.stdout) as [Answers, Answers];
  told = JSON.parse(outcome.stdout.trim().split('\n').at(-1)!);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const named = (answers: Answers, ...errnos: number[]) =>
  [...answers].filter(([, errno]) => errnos.includes(errno)).map(([name]) => name);

test('all that a process with keys gives up is given up, and said', () => {
  const { memoryLocked: _, ...demanded } = told;
  assert.deepEqual([...new Set(Object.values(demanded))], [true]);
  assert.equal(Object.keys(demanded).length, 5);
});

test('no file, socket, program, process, namespace or limit is to be had any more', () => {
  const calls = new Map([...hardened].filter(([name]) => !name.startsWith('ring: ')));
  assert.ok(calls.size > 60);
  assert.deepEqual(named(calls, EPERM, ENOSYS), [...calls.keys()]);
});

test('an io_uring that was there before opens nothing either', () => {
  if (without.get('ring: socket') !== 0) return;
  assert.equal(without.get('ring: open'), 0);
  assert.deepEqual([hardened.get('ring: socket'), hardened.get('ring: open')], [EMFILE, EMFILE]);
});

test('without it they are to be had: the calls are such that the test sees it', () => {
  const had = named(without, 0);
  for (const name of ['socket', 'socketpair', 'openat', 'dup', 'clone', 'kill', 'prlimit64'])
    assert.ok(had.includes(name), name);
  assert.ok(named(without, EPERM).length < 10);
});
