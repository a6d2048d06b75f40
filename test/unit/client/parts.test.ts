import assert from 'node:assert/strict';
import test from 'node:test';
import { backOffMs } from '../../../lib/client/back-off.ts';
import { connectionError, wireError } from '../../../lib/client/errors.ts';
import { Heartbeat } from '../../../lib/client/heartbeat.ts';
import { PendingRequests } from '../../../lib/client/pending-requests.ts';
import { distinctServers, isSameServer, parseServerAddress } from '../../../lib/client/server-address.ts';
import { KeylessError } from '../../../lib/errors.ts';
import type { Answer } from '../../../lib/protocol/answers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

test('addresses of key servers', () => {
  const parts = (text: string) => {
    const { host, port } = parseServerAddress(text);
    return [host, port];
  };
  assert.deepEqual(parts('keys-1.internal:2408'), ['keys-1.internal', 2408]);
  assert.deepEqual(parts('keys-1.internal'), ['keys-1.internal', 2407]);
  assert.deepEqual(parts('192.0.2.1:1'), ['192.0.2.1', 1]);
  assert.deepEqual(parts('[2001:db8::1]:65535'), ['2001:db8::1', 65_535]);
  assert.deepEqual(parts('[::1]'), ['::1', 2407]);
  assert.deepEqual(parts('::1'), ['::1', 2407]);
  assert.deepEqual(parts('[fe80::1%eth0]:2408'), ['fe80::1%eth0', 2408]);
  assert.deepEqual(parts('fe80::1%eth0'), ['fe80::1%eth0', 2407]);
  for (const bad of [
    '',
    ':1',
    'host:',
    'host:0',
    'host:65536',
    'a b',
    '[host]:1',
    '[192.0.2.1]:1',
    '[::1%]:1',
    '[::1%a b]:1',
    'https://host',
    'a:1:2',
    5,
    null,
  ]) {
    assert.throws(() => parseServerAddress(bad), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' }, String(bad));
  }
});

test('a key server that is named twice is one, with the best of its priorities', () => {
  const named = ['keys-1.internal', 'KEYS-1.internal:2407', 'keys-1.internal:2408', '192.0.2.1'];
  const addresses = named.map((text, at) => ({ ...parseServerAddress(text), priority: 9 - at }));
  assert.deepEqual(distinctServers(addresses), addresses.slice(1));
});

test('a key server whose name a DNS writes in another case is the same; of another port or priority it is another one', () => {
  const server = { ...parseServerAddress('keys-1.internal'), priority: 10 };
  assert.equal(isSameServer(server, { ...parseServerAddress('Keys-1.INTERNAL'), priority: 10 }), true);
  assert.equal(isSameServer(server, { ...server, port: 2408 }), false);
  assert.equal(isSameServer(server, { ...server, priority: 11 }), false);
});

test('the back-off doubles up to its limit, and takes between a half and all of it', () => {
  const settings = (random: number) => ({ minMs: 50, maxMs: 1000, random: () => random });
  assert.deepEqual(
    [1, 2, 3, 6, 60, 2000].map((failures) => backOffMs(failures, settings(1))),
    [50, 100, 200, 1000, 1000, 1000],
  );
  assert.deepEqual(
    [1, 2, 60].map((failures) => backOffMs(failures, settings(0))),
    [25, 50, 500],
  );
});

test('each error of the wire is one code, with the name of the server', () => {
  const codes = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((code) => wireError(code, 'keys:1').code);
  assert.equal(new Set(codes).size, 9);
  assert.equal(wireError(0x0a, 'keys:1').code, 'ERR_KEYLESS_PROTOCOL');
  assert.match(wireError(2, 'keys:1').message, /keys:1 answered with error 02/);
});

test('errors of connections: who refused whom', () => {
  const error = (code: string) => connectionError(Object.assign(new Error('why'), { code }), 'keys:1');
  for (const code of [
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'INVALID_PURPOSE',
  ]) {
    assert.equal(error(code).code, 'ERR_KEYLESS_KEY_SERVER_IDENTITY', code);
  }
  assert.equal(error('ECONNREFUSED').code, 'ERR_KEYLESS_CONNECTION');
  assert.match(error('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA').message, /did not accept our certificate/);
  assert.match(error('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED').message, /did not accept our certificate/);
  assert.equal(connectionError(undefined, 'keys:1').code, 'ERR_KEYLESS_CONNECTION');
  assert.match(connectionError(undefined, 'keys:1', true).message, /does it accept our certificate/);
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  assert.match(connectionError(reset, 'keys:1', true).message, /does it accept our certificate/);
  assert.match(connectionError(reset, 'keys:1', false).message, /read ECONNRESET/);
});

const RESULT: Answer = { kind: 'result', payload: new Uint8Array(1) };

test('ids go round after 2^32 − 1', () => {
  const pending = new PendingRequests(2 ** 32 - 2);
  const ids = [1, 2, 3, 4].map(() => pending.add(() => undefined));
  assert.deepEqual(ids, [2 ** 32 - 2, 2 ** 32 - 1, 0, 1]);
});

test('no id is given out while its answer may come, whether somebody waits for it or not', () => {
  const pending = new PendingRequests(0, 4);
  const add = () => pending.add(() => undefined);
  assert.deepEqual([add(), add(), add()], [0, 1, 2]);
  pending.settle(1, RESULT);
  pending.giveUp(2);
  assert.deepEqual([add(), add()], [3, 1], '0 is waited for, 2 was given up');
  pending.settle(2, RESULT);
  assert.equal(add(), 2);
});

test('late, unknown and duplicate answers reach nobody and are counted', () => {
  const pending = new PendingRequests();
  let told = 0;
  const first = pending.add(() => {
    told += 1;
  });
  const second = pending.add(() => {
    told += 1;
  });
  pending.settle(first, RESULT);
  pending.settle(first, RESULT);
  pending.settle(77, RESULT);
  pending.giveUp(second);
  pending.giveUp(second);
  assert.deepEqual([pending.waiting, pending.givenUp], [0, 1]);
  pending.settle(second, RESULT);
  assert.deepEqual([told, pending.late, pending.unknown, pending.givenUp], [1, 1, 2, 0]);
});

test('abandoned requests keep their ids until their answers came, which reach nobody', () => {
  const pending = new PendingRequests();
  const told: unknown[] = [];
  const id = pending.add((answer) => told.push(answer));
  pending.giveUp(pending.add((answer) => told.push(answer)));
  const error = new KeylessError('ERR_KEYLESS_CONNECTION', 'silent');
  pending.abandon(error);
  pending.abandon(error);
  assert.deepEqual(told, [error]);
  assert.deepEqual([pending.waiting, pending.unanswered], [0, 2]);
  pending.settle(id, RESULT);
  assert.deepEqual([told.length, pending.late, pending.unanswered], [1, 1, 1]);
});

test('when the connection is gone everybody who waits is told once', () => {
  const pending = new PendingRequests();
  const told: unknown[] = [];
  pending.add((answer) => told.push(answer));
  pending.giveUp(pending.add((answer) => told.push(answer)));
  const error = new KeylessError('ERR_KEYLESS_CONNECTION', 'gone');
  pending.fail(error);
  pending.fail(error);
  assert.deepEqual(told, [error]);
});

function heartbeat() {
  const clock = new ManualClock();
  const seen = { pings: 0, silences: 0, waiting: false };
  const beat = new Heartbeat(
    { clock, pingIntervalMs: 10_000, pingTimeoutMs: 1000 },
    {
      isWaiting: () => seen.waiting,
      ping: () => {
        seen.pings += 1;
      },
      onSilence: () => {
        seen.silences += 1;
        beat.stop();
      },
    },
  );
  return { clock, seen, beat };
}

test('an idle connection is asked within its interval, and answers keep it', () => {
  const { clock, seen, beat } = heartbeat();
  for (let minute = 0; minute < 60; minute += 1) {
    const before = seen.pings;
    clock.advance(1000);
    if (seen.pings > before) beat.onFrame();
  }
  assert.ok(seen.pings >= 4 && seen.pings <= 6, `${seen.pings}`);
  assert.equal(seen.silences, 0);
});

test('a server that answers nothing is noticed within three ping times while requests wait', () => {
  const { clock, seen } = heartbeat();
  seen.waiting = true;
  clock.advance(3000);
  assert.deepEqual([seen.pings, seen.silences], [1, 1]);
});

test('a process that overslept blames itself first', () => {
  const { clock, seen } = heartbeat();
  seen.waiting = true;
  clock.advance(2000);
  assert.equal(seen.pings, 1);
  clock.oversleep(60_000);
  clock.advance(1);
  assert.equal(seen.silences, 0);
  clock.advance(3000);
  assert.equal(seen.silences, 1);
});

test('a stopped heartbeat is still', () => {
  const { clock, seen, beat } = heartbeat();
  beat.stop();
  clock.advance(100_000);
  assert.deepEqual([seen.pings, clock.pending], [0, 0]);
});
