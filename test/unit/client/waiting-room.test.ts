/** Lines for different key servers: nobody waits behind somebody who waits for another one. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Waiting } from '../../../lib/client/waiting-line.ts';
import { WaitingRoom } from '../../../lib/client/waiting-room.ts';

class Somebody implements Waiting {
  readonly startedAt = 0;
  readonly request: { readonly deadline: number };
  to: string;

  constructor(to: string, deadline = 1000) {
    this.to = to;
    this.request = { deadline };
  }
}

/** Key servers `a`, `b` … with so much room each. */
function roomWith(free: Record<string, number>) {
  const seen = { sent: [] as Somebody[], looks: 0 };
  const room = new WaitingRoom<Somebody>({
    destinationOf: ({ to }) => to,
    send: (who) => {
      seen.looks += 1;
      const server = [...who.to].find((name) => (free[name] ?? 0) > 0);
      if (server === undefined) return false;
      free[server]! -= 1;
      seen.sent.push(who);
      return true;
    },
  });
  const add = (to: string, count: number, deadline?: number) =>
    Array.from({ length: count }, () => {
      const who = new Somebody(to, deadline);
      room.add(who);
      return who;
    });
  return { room, seen, add };
}

test('who may go elsewhere does not wait behind those who may not, and thousands of them cost one look', () => {
  const free = { a: 0, b: 2 };
  const { room, seen, add } = roomWith(free);
  add('a', 5000);
  const two = add('b', 3);
  room.serve(0);
  assert.deepEqual(seen.sent, two.slice(0, 2));
  assert.ok(seen.looks <= 4, `${seen.looks}`);
  assert.equal(room.size, 5001);
});

test('lines that want the same room take turns', () => {
  const free = { a: 10, b: 0 };
  const { room, seen, add } = roomWith(free);
  add('a', 100);
  add('ab', 100);
  room.serve(0);
  assert.equal(seen.sent.filter(({ to }) => to === 'a').length, 5);
});

test('who may go elsewhere than when it came changes lines, and is no obstacle', () => {
  const free = { a: 0, b: 1 };
  const { room, seen, add } = roomWith(free);
  const [first, second, third] = add('ab', 3) as [Somebody, Somebody, Somebody];
  first.to = 'a';
  room.serve(0);
  assert.deepEqual(seen.sent, [second]);
  assert.ok(room.isBefore(new Somebody('a')) && room.isBefore(new Somebody('ab')));
  assert.ok(!room.isBefore(new Somebody('b')));
  room.remove(third);
  assert.ok(!room.isBefore(new Somebody('ab')), 'no line is kept for nobody');
  room.remove(third);
  room.remove(first);
  assert.equal(room.size, 0);
});

test('who is let in twice waits once, in the line for where it may go now', () => {
  const { room, seen, add } = roomWith({ b: 5 });
  const [who] = add('a', 1) as [Somebody];
  who.to = 'b';
  room.add(who);
  assert.equal(room.size, 1);
  room.serve(0);
  assert.deepEqual(seen.sent, [who]);
  room.serve(0);
  assert.deepEqual([room.size, seen.sent.length, room.takeLast()], [0, 1, undefined]);
});

test('too many: of the longest line, whose deadline is the next', () => {
  const { room, add } = roomWith({});
  add('a', 3, 10);
  const [late] = add('b', 4, 2000);
  const [soon] = add('b', 1, 100);
  assert.equal(room.takeLast(), soon);
  assert.equal(room.takeLast(), late);
  while (room.size > 0) assert.ok(room.takeLast() !== undefined);
  assert.equal(room.takeLast(), undefined);
});
