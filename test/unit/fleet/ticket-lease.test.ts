import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { FleetLease } from '../../../lib/fleet/channels.ts';
import { leaseTicketKeys } from '../../../lib/fleet/ticket-lease.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { TicketSource, ticketKey } from '../../helpers/ticket-source.ts';

function make(source = new TicketSource()) {
  const clock = new ManualClock();
  const lease = leaseTicketKeys(source, { clock, random: () => 0.5 });
  /** Time passes, and what was asked is answered. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return { source, clock, lease, pass };
}

const epochs = (lease: ReturnType<typeof make>['lease']) => lease.keys()?.map(({ epoch }) => epoch);

test('the current key issues, and all four are accepted', async () => {
  const { lease, source } = make();
  assert.deepEqual([lease.stats().state, lease.keys()], ['waiting', undefined]);
  await lease.ready();
  assert.deepEqual(epochs(lease), [10, 11, 9, 8]);
  for (const { epoch, key } of lease.keys()!) assert.deepEqual(key, ticketKey(epoch));
  assert.ok(
    source.payload!.every((byte) => byte === 0),
    'the answer was wiped',
  );
});

test('it is renewed after a quarter of the period', async () => {
  const { lease, source, pass } = make();
  await lease.ready();
  await pass(249);
  assert.equal(source.asked, 1);
  source.epoch = 20;
  await pass(1);
  assert.deepEqual([source.asked, lease.stats().renewals], [2, 2]);
  assert.deepEqual(epochs(lease), [20, 21, 19, 18], 'all keys are those of the answer');
});

test('it is renewed no more often than ten times a second, whatever period a key server claims', async () => {
  const source = Object.assign(new TicketSource(), { periodMs: 1, remainingMs: 1 });
  const { lease, pass } = make(source);
  await lease.ready();
  for (let ms = 0; ms < 1000; ms += 1) await pass(1);
  assert.equal(source.asked, 11);
});

test('without key servers it moves on to the next epoch by itself, and ends one period after it was asked for', async () => {
  const { lease, source, pass } = make();
  await lease.ready();
  source.error = new Error('nobody there');
  await pass(399);
  assert.deepEqual(epochs(lease), [10, 11, 9, 8]);
  await pass(1);
  assert.deepEqual(epochs(lease), [11, 10, 9]);
  await pass(599);
  assert.equal(lease.stats().state, 'held');
  await pass(1);
  assert.deepEqual([lease.stats().state, lease.keys(), lease.stats().epoch], ['ended', undefined, undefined]);
});

test('a lease that has ended begins again with the first answer', async () => {
  const { lease, source, pass } = make();
  await lease.ready();
  source.error = new Error('nobody there');
  await pass(2000);
  assert.equal(lease.stats().state, 'ended');
  source.error = undefined;
  await pass(300);
  assert.deepEqual([lease.stats().state, epochs(lease)], ['held', [10, 11, 9, 8]]);
});

test('whoever wakes too late has no keys, whatever the alarms did', async () => {
  const { lease, clock } = make();
  await lease.ready();
  clock.oversleep(1000);
  assert.equal(lease.keys(), undefined);
});

test('attempts that fail are made again, less and less often, but every 30 seconds', async () => {
  const hourly = Object.assign(new TicketSource(), { periodMs: 3_600_000, remainingMs: 1_000_000 });
  const { lease, source, pass } = make(hourly);
  await lease.ready();
  source.error = new Error('nobody there');
  await pass(900_000);
  assert.equal(source.asked, 2);
  for (let step = 0; step < 600; step += 1) await pass(1000);
  assert.ok(source.asked > 20 && source.asked < 40, `${source.asked} in ten minutes`);
  assert.match(lease.stats().lastError!.message, /nobody there/);
});

test('a short lease is tried for often enough: each twentieth of its period at the latest', async () => {
  const minutely = Object.assign(new TicketSource(), { periodMs: 60_000, remainingMs: 30_000 });
  const { lease, source, pass } = make(minutely);
  await lease.ready();
  source.error = new Error('nobody there');
  await pass(15_000);
  const { asked } = source;
  for (let step = 0; step < 300; step += 1) await pass(100);
  assert.ok(source.asked - asked >= 12, `${source.asked - asked} in half a minute`);
});

test('an answer that is none counts as a failure, and the keys that are there stay', async () => {
  const { lease, source, pass } = make();
  await lease.ready();
  source.remainingMs = 5000;
  await pass(250);
  const { state, failures, lastError } = lease.stats();
  assert.deepEqual([state, failures, lastError!.code], ['held', 1, 'ERR_KEYLESS_PROTOCOL']);
});

test('ready() rejects with what the attempt failed with, and attempts go on', async () => {
  const source = new TicketSource();
  source.error = new Error('nobody there');
  const { lease, pass } = make(source);
  await assert.rejects(lease.ready(), { code: 'ERR_KEYLESS_OPERATION_FAILED' });
  source.error = undefined;
  const ready = lease.ready();
  await pass(250);
  await ready;
});

test('keys are wiped as soon as others are there, and when the lease ends', async () => {
  const { lease, source, pass } = make();
  await lease.ready();
  const isWiped = ({ key }: { readonly key: Buffer }) => key.every((byte) => byte === 0);
  const first = lease.keys()!;
  await pass(250);
  assert.ok(first.every(isWiped), 'of the first answer');
  const second = lease.keys()!;
  assert.ok(!second.some(isWiped));
  source.error = new Error('nobody there');
  await pass(1000);
  assert.equal(lease.stats().state, 'ended');
  assert.ok(second.every(isWiped), 'of the last answer');
});

test('close() wipes the keys, stops all alarms, and answers whoever waits', async () => {
  const { lease, clock, source } = make();
  await lease.ready();
  const { key } = lease.keys()![0]!;
  lease.close();
  lease.close();
  assert.ok(key.every((byte) => byte === 0));
  assert.deepEqual([lease.stats().state, lease.keys(), clock.pending], ['closed', undefined, 0]);
  await assert.rejects(lease.ready(), { code: 'ERR_KEYLESS_CLOSED' });
  const other = make(source);
  const waiting = other.lease.ready();
  other.lease.close();
  await assert.rejects(waiting, { code: 'ERR_KEYLESS_CLOSED' });
  await turn();
  assert.equal(other.clock.pending, 0);
});

test('a channel tells of renewals, failures and the end, and of no key', async () => {
  const told: FleetLease[] = [];
  const listener = (message: unknown) => void told.push(message as FleetLease);
  subscribe('keyless-tls:fleet:lease', listener);
  const { lease, source, pass } = make();
  await lease.ready();
  source.error = new Error('nobody there');
  await pass(250);
  await pass(750);
  unsubscribe('keyless-tls:fleet:lease', listener);
  const [renewed, failed] = told as [FleetLease, FleetLease];
  assert.deepEqual(renewed, { event: 'renewed', epoch: 10, remainingMs: 1000, error: undefined });
  assert.deepEqual([failed.event, failed.remainingMs], ['failed', 750]);
  const ended = told.find(({ event }) => event === 'ended')!;
  assert.deepEqual([ended.event, ended.epoch, ended.remainingMs], ['ended', undefined, 0]);
  assert.ok(told.every((message) => Object.keys(message).every((name) => name !== 'keys')));
});

test('without keys of key servers there is no lease', () => {
  for (const nothing of [undefined, {}, { ticketKeys: 1 }]) {
    assert.throws(() => leaseTicketKeys(nothing as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
});

test('wrong options of a lease are told at once', () => {
  const source = { ticketKeys: () => assert.fail('asked') };
  for (const wrong of [null, 5, 'label', { label: 5 }, { label: null }]) {
    assert.throws(() => leaseTicketKeys(source, wrong as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
});
