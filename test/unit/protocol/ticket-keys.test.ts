import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeTicketKeys, encodeTicketKeys, type TicketKeySet } from '../../../lib/protocol/ticket-keys.ts';

const key = (byte: number) => Buffer.alloc(48, byte);
const SET: TicketKeySet = {
  periodMs: 3_600_000,
  remainingMs: 1234,
  epoch: 2 ** 40,
  keys: [key(1), key(2), key(3), key(4)],
};

test('ticket keys survive the wire, as copies', () => {
  const bytes = encodeTicketKeys(SET);
  assert.equal(bytes.length, 208);
  const decoded = decodeTicketKeys(bytes);
  bytes.fill(0);
  assert.deepEqual(decoded, SET);
});

function withEpoch(bytes: Buffer, epoch: number): Buffer {
  bytes.writeBigUInt64BE(BigInt(epoch), 8);
  return bytes;
}

test('the first and the last epoch that have their neighbours are taken', () => {
  for (const epoch of [2, 2 ** 53 - 2])
    assert.equal(decodeTicketKeys(withEpoch(encodeTicketKeys(SET), epoch)).epoch, epoch);
});

const LIES: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['is empty', () => Buffer.alloc(0)],
  ['is short by a byte', (bytes) => bytes.subarray(1)],
  ['is long by a byte', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ['has a period of nothing', (bytes) => bytes.fill(0, 0, 8)],
  ['has an epoch that is over', (bytes) => bytes.fill(0, 4, 8)],
  ['has more left of an epoch than the epoch is long', (bytes) => bytes.fill(0xff, 4, 8)],
  ['has an epoch beyond all numbers', (bytes) => bytes.fill(0xff, 8, 16)],
  ['has an epoch that has no next one', (bytes) => withEpoch(bytes, 2 ** 53 - 1)],
  ['has the first epoch of all', (bytes) => withEpoch(bytes, 0)],
  ['has an epoch without two before it', (bytes) => withEpoch(bytes, 1)],
];

for (const [what, lie] of LIES) {
  test(`an answer that ${what} is not taken`, () => {
    const bytes = lie(encodeTicketKeys(SET));
    assert.throws(() => decodeTicketKeys(bytes), { code: 'ERR_KEYLESS_PROTOCOL' });
  });
}
