import assert from 'node:assert/strict';
import test from 'node:test';
import { type SrvRecord, SrvWatch } from '../../../lib/client/srv-watch.ts';
import type { KeylessError } from '../../../lib/errors.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const RECORD = { name: 'keys-1.internal', port: 2407, priority: 10 };
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param answers the last one is given again and again */
function watch(answers: unknown[]) {
  const clock = new ManualClock();
  const seen = {
    asked: [] as string[],
    servers: [] as string[][],
    errors: [] as KeylessError[],
    isAnyThere: true,
  };
  const it = new SrvWatch(
    {
      name: '_keyless._tcp.internal',
      intervalMs: 30_000,
      clock,
      resolve: async (name) => {
        seen.asked.push(name);
        const answer = await (answers.length > 1 ? answers.shift() : answers[0]);
        if (answer instanceof Error) throw answer;
        return answer as SrvRecord[];
      },
      isAnyThere: () => seen.isAnyThere,
    },
    {
      onServers: (servers) => seen.servers.push(servers.map(({ name, priority }) => `${name} ${priority}`)),
      onFailed: (error) => seen.errors.push(error),
    },
  );
  return { clock, seen, it };
}

test('the record is asked for at once and each interval, and its names lose the dot at their end', async () => {
  const { clock, seen, it } = watch([[RECORD], [{ ...RECORD, name: 'keys-2.internal.' }]]);
  await turn();
  clock.advance(30_000);
  await turn();
  assert.deepEqual(seen.servers, [['keys-1.internal:2407 10'], ['keys-2.internal:2407 10']]);
  assert.deepEqual(seen.asked, ['_keyless._tcp.internal', '_keyless._tcp.internal']);
  it.close();
  assert.equal(clock.pending, 0);
});

test('a DNS that fails, and a record that names nobody, are asked again within a second', async () => {
  const { clock, seen, it } = watch([new Error('queryEsrv ENOTFOUND'), [{ ...RECORD, name: '.' }], [RECORD]]);
  await turn();
  clock.advance(1000);
  await turn();
  clock.advance(1000);
  await turn();
  assert.deepEqual(
    seen.errors.map(({ code }) => code),
    ['ERR_KEYLESS_NO_KEY_SERVER', 'ERR_KEYLESS_NO_KEY_SERVER'],
  );
  assert.match(seen.errors[0]!.message, /_keyless\._tcp\.internal.*ENOTFOUND/);
  assert.equal(seen.servers.length, 1);
  it.close();
});

test('who is in a hurry asks once a second at most, and not while an answer is awaited', async () => {
  const { clock, seen, it } = watch([[RECORD]]);
  it.hurry();
  await turn();
  for (let times = 0; times < 10; times += 1) it.hurry();
  assert.equal(clock.pending, 1);
  clock.advance(999);
  assert.equal(seen.asked.length, 1);
  clock.advance(1);
  assert.equal(seen.asked.length, 2, 'as soon as it may be');
  await turn();
  clock.advance(5000);
  assert.equal(seen.asked.length, 2);
  it.hurry();
  it.hurry();
  assert.equal(seen.asked.length, 3);
  await turn();
  it.close();
  it.hurry();
  clock.advance(60_000);
  assert.equal(seen.asked.length, 3);
});

test('while nobody is there, the record is asked for each second, whatever it says', async () => {
  const { clock, seen, it } = watch([[RECORD]]);
  seen.isAnyThere = false;
  for (let second = 0; second < 5; second += 1) {
    await turn();
    clock.advance(1000);
  }
  assert.equal(seen.asked.length, 6);
  seen.isAnyThere = true;
  await turn();
  clock.advance(29_000);
  assert.equal(seen.asked.length, 6);
  it.close();
});

test('whoever resolves and never answers is asked again, and is too late then', async () => {
  let late: (records: unknown) => void = () => undefined;
  const never = new Promise((resolve) => {
    late = resolve;
  });
  const { clock, seen, it } = watch([never, [RECORD]]);
  clock.advance(5000);
  assert.match(seen.errors[0]!.message, /there was no answer/);
  clock.advance(1000);
  await turn();
  late([{ ...RECORD, name: 'old.internal' }]);
  await turn();
  assert.deepEqual(seen.servers, [['keys-1.internal:2407 10']]);
  it.close();
  assert.equal(clock.pending, 0);
});

test('what is no record is none, and an answer of the wrong form is an error as any other', async () => {
  const bad = [
    undefined,
    null,
    {},
    'keys-1.internal',
    [null],
    [{ port: 2407, priority: 10 }],
    [{ ...RECORD, port: 70_000 }],
    [{ ...RECORD, port: '2407' }],
    [{ ...RECORD, priority: undefined }],
    [{ ...RECORD, priority: 1n }],
    [Object.defineProperty({ ...RECORD }, 'port', { get: () => assert.fail('no port') })],
  ];
  const { clock, seen, it } = watch([...bad, [null, { ...RECORD, port: 0 }, RECORD]]);
  for (const _ of bad) {
    await turn();
    clock.advance(1000);
  }
  await turn();
  assert.equal(seen.errors.length, bad.length);
  assert.deepEqual(seen.servers, [['keys-1.internal:2407 10']]);
  it.close();
});

test('a zone with thousands of names costs 64 connections', async () => {
  const { seen, it } = watch([Array.from({ length: 5000 }, (_, at) => ({ ...RECORD, port: at + 1 }))]);
  await turn();
  assert.equal(seen.servers[0]!.length, 64);
  it.close();
});

test('of more names than that it is the same ones, those of the best priority, however the DNS turns them', async () => {
  const records = Array.from({ length: 200 }, (_, at) => ({ ...RECORD, port: at + 1, priority: at % 2 }));
  const mixed = records.map((each, at) => (at % 3 === 0 ? { ...each, name: each.name.toUpperCase() } : each));
  const { clock, seen, it } = watch([records, [...mixed.slice(77), ...mixed.slice(0, 77)]]);
  await turn();
  clock.advance(30_000);
  await turn();
  const [first, next] = seen.servers.map((names) => names.map((name) => name.toLowerCase()));
  assert.deepEqual(next, first);
  assert.ok(first!.every((name) => name.endsWith(' 0')));
  it.close();
});

test('an answer that came while this process stood still is taken', async () => {
  let answer!: (records: unknown) => void;
  const { clock, seen, it } = watch([new Promise((resolve) => (answer = resolve))]);
  await turn();
  clock.oversleep(60_000);
  clock.advance(0);
  answer([RECORD]);
  await turn();
  assert.deepEqual(seen.servers, [['keys-1.internal:2407 10']]);
  assert.deepEqual(seen.errors, []);
  it.close();
  assert.equal(clock.pending, 0);
});
