/** How many handshakes may be paused: the cap, the queue behind it, and who is refused. */
import assert from 'node:assert/strict';
import diagnosticsChannel from 'node:diagnostics_channel';
import { afterEach, beforeEach, test } from 'node:test';
import {
  type Admittable,
  admissionStats,
  configureEngine,
  enter,
  leave,
  withdraw,
} from '../../../lib/engine/admission.ts';
import type { KeylessError } from '../../../lib/errors.ts';

let admitted: string[] = [];
let refused: [string, KeylessError][] = [];

/** @param onAdmit what it does as soon as it is its turn */
function handshake(name: string, onAdmit: () => void = () => undefined): Admittable {
  return {
    admit() {
      admitted.push(name);
      onAdmit();
    },
    refuse: (error) => refused.push([name, error]),
  };
}

function enterAll(...names: string[]): void {
  for (const name of names) enter(handshake(name));
}

function counts(): [admitted: number, queued: number] {
  const stats = admissionStats();
  return [stats.admitted, stats.queued];
}

beforeEach(() => {
  admitted = [];
  refused = [];
  configureEngine({ maxPausedHandshakes: 2 });
});
afterEach(() => {
  while (admissionStats().admitted > 0) leave();
  assert.deepEqual(counts(), [0, 0]);
});

test('as many as the limit are admitted, as many wait, and more are refused', () => {
  const before = admissionStats().refused;
  enterAll('a', 'b', 'c', 'd', 'e');
  assert.deepEqual(admitted, ['a', 'b']);
  assert.deepEqual(counts(), [2, 2]);
  assert.deepEqual(
    refused.map(([name, { code }]) => [name, code]),
    [['e', 'ERR_KEYLESS_TOO_MANY_HANDSHAKES']],
  );
  assert.match(refused[0]?.[1].message ?? '', /^2 handshakes are paused and 2 wait/);
  assert.equal(admissionStats().refused, before + 1);
});

test('whoever waits is admitted in the order of arrival, one for each that leaves', () => {
  enterAll('a', 'b', 'c', 'd');
  leave();
  assert.deepEqual(admitted, ['a', 'b', 'c']);
  enterAll('e');
  leave();
  leave();
  assert.deepEqual(admitted, ['a', 'b', 'c', 'd', 'e']);
});

test('whoever dies while waiting gives its place in the queue', () => {
  const dying = handshake('dying');
  enterAll('a', 'b');
  enter(dying);
  enterAll('c');
  assert.equal(withdraw(dying), true);
  assert.equal(withdraw(dying), false);
  enterAll('d');
  assert.deepEqual(refused, []);
  leave();
  assert.deepEqual(admitted, ['a', 'b', 'c']);
});

test('whoever dies or comes while another is admitted is seen', () => {
  const dying = handshake('dying');
  enterAll('a', 'b');
  enter(
    handshake('c', () => {
      withdraw(dying);
      enterAll('e');
      leave();
    }),
  );
  enter(dying);
  leave();
  assert.deepEqual(admitted, ['a', 'b', 'c', 'e']);
  assert.deepEqual(counts(), [2, 0]);
});

// A key that begins to fail at once (no key server can be reached) empties the whole queue in one turn.
test('a queue of any length that leaves at once is no deeper than the stack', () => {
  const LENGTH = 100_000;
  configureEngine({ maxPausedHandshakes: LENGTH });
  for (let index = 0; index < LENGTH; index += 1) enter(handshake('waits for its key'));
  for (let index = 0; index < LENGTH; index += 1) enter(handshake('leaves at once', leave));
  assert.deepEqual(counts(), [LENGTH, LENGTH]);
  leave();
  assert.deepEqual(counts(), [LENGTH - 1, 0]);
});

test('an exception of one that is admitted does not hold the others back', async () => {
  configureEngine({ maxPausedHandshakes: 3 });
  enterAll('a', 'b', 'c');
  const fail = () => {
    leave();
    throw new Error('on purpose');
  };
  enter(handshake('d', fail));
  enterAll('e');
  assert.throws(leave, /on purpose/);
  await new Promise(setImmediate);
  assert.deepEqual(admitted, ['a', 'b', 'c', 'd', 'e']);
});

test('a raised limit admits at once whoever has room now, and a lowered one holds for the next', () => {
  enterAll('a', 'b', 'c', 'd');
  configureEngine({ maxPausedHandshakes: 3 });
  assert.deepEqual(admitted, ['a', 'b', 'c']);
  configureEngine({ maxPausedHandshakes: 1 });
  leave();
  leave();
  assert.deepEqual(counts(), [1, 1]);
  leave();
  assert.deepEqual(admitted, ['a', 'b', 'c', 'd']);
});

test('a refusal is told on its diagnostics channel', () => {
  const told: unknown[] = [];
  const listen = (message: unknown) => told.push(message);
  diagnosticsChannel.subscribe('keyless-tls:handshake:refused', listen);
  enterAll('a', 'b', 'c', 'd', 'e');
  diagnosticsChannel.unsubscribe('keyless-tls:handshake:refused', listen);
  assert.deepEqual(told, [{ paused: 2, queued: 2 }]);
});

test('the limit is an integer from 1 to 1,000,000, and without one nothing changes', () => {
  for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_001, '2', null]) {
    const settings = { maxPausedHandshakes: limit as number };
    assert.throws(() => configureEngine(settings), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, String(limit));
  }
  for (const settings of [undefined, null, 5, 'maxPausedHandshakes']) {
    const configure = () => configureEngine(settings as never);
    assert.throws(configure, { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, String(settings));
  }
  configureEngine({});
  configureEngine({ maxPausedHandshakes: undefined });
  enterAll('a', 'b', 'c');
  assert.deepEqual(counts(), [2, 1]);
});
