import assert from 'node:assert/strict';
import test from 'node:test';
import { type SrvRecord, SrvWatch } from '../../../lib/client/srv-watch.ts';
import type { KeylessError } from '../../../lib/errors.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const RECORD = { name: 'keys-1.internal', port: 2407, priority: 10 };
const turn = () => new Promise((resolve) => setImmediate(resolve));

function watch(answers: (readonly SrvRecord[] | Error)[]) {
  const clock = new ManualClock();
  const seen = { asked: [] as string[], servers: [] as string[][], errors: [] as KeylessError[] };
  const it = new SrvWatch(
    {
      name: '_keyless._tcp.internal',
      intervalMs: 30_000,
      clock,
      resolve: async (name) => {
        seen.asked.push(name);
        const answer = answers.shift()!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
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
  const { clock, seen, it } = watch([[RECORD], [RECORD]]);
  it.hurry();
  await turn();
  it.hurry();
  assert.equal(seen.asked.length, 1);
  clock.advance(1000);
  it.hurry();
  it.hurry();
  assert.equal(seen.asked.length, 2);
  await turn();
  it.close();
  it.hurry();
  clock.advance(60_000);
  assert.equal(seen.asked.length, 2);
});

test('a zone with thousands of names costs 64 connections', async () => {
  const { seen, it } = watch([Array.from({ length: 5000 }, (_, at) => ({ ...RECORD, port: at + 1 }))]);
  await turn();
  assert.equal(seen.servers[0]!.length, 64);
  it.close();
});
