import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import test from 'node:test';
import { guarded, Lookups } from '../../../lib/client/lookups.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const SILENCE_MS = 10_000;

/** A DNS that answers when the test says so. */
function silentDns() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const pending = new Map<string, (error: Error | null, address: string) => void>();
  const lookup: LookupFunction = (hostname, _options, callback) => {
    asked.push(hostname);
    pending.set(hostname, callback);
  };
  const lookups = new Lookups(clock, lookup);
  const got: string[] = [];
  const ask = (hostname: string, options = {}) =>
    lookups.ask(hostname, options, (error, address) => {
      got.push(`${hostname} ${error === null ? String(address) : error.message}`);
    });
  const answer = (hostname: string, error: Error | null = null) => {
    const callback = pending.get(hostname)!;
    pending.delete(hostname);
    callback(error, '127.0.0.1');
  };
  const took = (ms: number, error: Error | null, hostnames: readonly string[]) => {
    for (const each of hostnames) ask(each);
    clock.advance(ms);
    for (const each of hostnames) answer(each, error);
    clock.advance(50);
    asked.length = 0;
    got.length = 0;
  };
  /** Makes them slow: each was asked for, and was not answered for long. */
  const slow = (...hostnames: string[]) => took(SILENCE_MS, new Error('EAI_AGAIN'), hostnames);
  /** Each was answered, after a while. */
  const late = (...hostnames: string[]) => took(300, null, hostnames);
  return { clock, asked, got, pending, ask, answer, slow, late };
}

test('who asks for a name that is being looked up shares the answer, and later ones ask anew', () => {
  const { asked, got, ask, answer } = silentDns();
  for (let times = 0; times < 5; times += 1) ask('keys-1');
  ask('keys-1', { family: 6 });
  assert.deepEqual(asked, ['keys-1', 'keys-1'], 'what is another question is another lookup');
  answer('keys-1');
  assert.deepEqual(got, ['keys-1 127.0.0.1']);
  got.length = 0;
  ask('keys-2');
  ask('keys-2');
  answer('keys-2', new Error('ENOTFOUND'));
  assert.deepEqual(got, ['keys-2 ENOTFOUND', 'keys-2 ENOTFOUND']);
  ask('keys-2');
  assert.equal(asked.length, 4);
});

test('who takes back what was answered takes no lookup from others', () => {
  const { clock, got, asked, ask, answer, late } = silentDns();
  late('keys-1');
  const takeBack = ask('keys-1');
  clock.advance(300);
  answer('keys-1');
  ask('keys-1');
  assert.deepEqual(asked, ['keys-1'], 'it waits for the end of the pause');
  takeBack();
  clock.advance(50);
  answer('keys-1');
  assert.deepEqual(got, ['keys-1 127.0.0.1', 'keys-1 127.0.0.1']);
});

test('who takes the question back is told nothing, and others are', () => {
  const { got, ask, answer } = silentDns();
  const takeBack = ask('keys-1');
  ask('keys-1');
  takeBack();
  takeBack();
  answer('keys-1');
  assert.deepEqual(got, ['keys-1 127.0.0.1']);
});

test('names that were not answered are looked up one at a time, and after each comes a moment without any', () => {
  const { clock, asked, pending, ask, answer, slow } = silentDns();
  slow('keys-1', 'keys-2', 'keys-3');
  for (const each of ['keys-1', 'keys-2', 'keys-3']) ask(each);
  clock.advance(SILENCE_MS);
  assert.deepEqual(asked, ['keys-1']);
  answer('keys-1', new Error('EAI_AGAIN'));
  ask('keys-1');
  clock.advance(49);
  assert.equal(pending.size, 0);
  clock.advance(1);
  assert.deepEqual(asked, ['keys-1', 'keys-2']);
  clock.advance(SILENCE_MS);
  answer('keys-2', new Error('EAI_AGAIN'));
  clock.advance(50);
  assert.deepEqual(asked, ['keys-1', 'keys-2', 'keys-3']);
  clock.advance(SILENCE_MS);
  answer('keys-3', new Error('EAI_AGAIN'));
  clock.advance(50);
  assert.deepEqual(asked, ['keys-1', 'keys-2', 'keys-3', 'keys-1']);
});

test('names that are answered at once wait for none that is not', () => {
  const { clock, asked, ask, answer, slow } = silentDns();
  slow('keys-1', 'keys-2');
  ask('keys-1');
  ask('keys-2');
  ask('keys-3');
  answer('keys-3');
  ask('keys-3');
  assert.deepEqual(asked, ['keys-1', 'keys-3', 'keys-3']);
  answer('keys-1');
  clock.advance(50);
  answer('keys-2');
  ask('keys-1');
  ask('keys-2');
  assert.deepEqual(asked.slice(-2), ['keys-1', 'keys-2'], 'the DNS is there again');
});

test('a name that is not answered keeps none away that was answered, however late and often', () => {
  const { clock, asked, got, ask, answer, slow, late } = silentDns();
  late('keys-2', 'keys-3');
  slow('keys-1', 'keys-4');
  ask('keys-1');
  ask('keys-4');
  for (let times = 0; times < 3; times += 1) {
    ask('keys-2');
    clock.advance(300);
    answer('keys-2');
  }
  assert.deepEqual(asked, ['keys-1', 'keys-2', 'keys-2', 'keys-2']);
  assert.deepEqual(got, Array(3).fill('keys-2 127.0.0.1'));
  ask('keys-3');
  ask('keys-2');
  assert.deepEqual(asked.slice(4), ['keys-3'], 'two at a time');
  answer('keys-1', new Error('EAI_AGAIN'));
  clock.advance(1000);
  assert.deepEqual(asked.slice(5), [], 'now the pause comes first');
  answer('keys-3');
  assert.deepEqual(asked.slice(5), []);
  clock.advance(50);
  assert.deepEqual(asked.slice(5), ['keys-4', 'keys-2']);
});

test('names that are answered late are looked up two at a time, and after these comes a moment without any', () => {
  const { clock, asked, pending, ask, answer, late } = silentDns();
  late('keys-1', 'keys-2', 'keys-3');
  for (const each of ['keys-1', 'keys-2', 'keys-3']) ask(each);
  clock.advance(300);
  answer('keys-1');
  ask('keys-1');
  clock.advance(300);
  assert.deepEqual(asked, ['keys-1', 'keys-2']);
  answer('keys-2');
  clock.advance(49);
  assert.equal(pending.size, 0);
  clock.advance(1);
  assert.deepEqual(asked.slice(2), ['keys-3', 'keys-1']);
});

test('what nobody waits for any more is not looked up', () => {
  const { clock, asked, ask, answer, slow } = silentDns();
  slow('keys-1', 'keys-2');
  ask('keys-1');
  ask('keys-2')();
  clock.advance(SILENCE_MS);
  answer('keys-1');
  clock.advance(1000);
  assert.deepEqual(asked, ['keys-1']);
});

test('of names that were never looked up, four are under way at most', () => {
  const { asked, ask, answer } = silentDns();
  for (let at = 0; at < 64; at += 1) ask(`keys-${at}`);
  assert.equal(asked.length, 4);
  answer('keys-0');
  assert.deepEqual(asked.slice(4), ['keys-4']);
  for (let at = 1; at < 64; at += 1) answer(`keys-${at}`);
  assert.equal(asked.length, 64);
});

test('whoever looks up and throws, or answers twice, has failed, or answered once', async () => {
  const lookups = new Lookups(new ManualClock(), (hostname, _options, callback) => {
    if (hostname === 'throws') throw new Error('no resolver today');
    callback(null, '127.0.0.1', 4);
    callback(null, '127.0.0.2', 4);
  });
  const answerOf = (name: string) =>
    new Promise((resolve) => lookups.ask(name, {}, (error, address) => resolve(error?.message ?? address)));
  assert.equal(await answerOf('throws'), 'no resolver today');
  assert.equal(await answerOf('twice'), '127.0.0.1');
  assert.equal(await answerOf('throws'), 'no resolver today');
});

test('a lookup that rejects has failed, and what one of our users says after its first answer is nothing', async () => {
  const answersOf = async (lookup: unknown) => {
    const got: unknown[] = [];
    guarded(lookup as LookupFunction)('keys-1', {}, (error, address) => got.push(error?.message ?? address));
    await new Promise((resolve) => setImmediate(resolve));
    return got;
  };
  const rejecting = async () => Promise.reject(new Error('no resolver today'));
  assert.deepEqual(await answersOf(rejecting), ['no resolver today']);
  const twice: LookupFunction = (_hostname, _options, callback) => {
    callback(null, '127.0.0.1', 4);
    callback(null, '127.0.0.2', 4);
    throw new Error('no resolver today');
  };
  assert.deepEqual(await answersOf(twice), ['127.0.0.1']);
});
