import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesOf } from '../../../lib/cli/proxy-files.ts';
import { parseBackend } from '../../../lib/proxy/backend.ts';
import { BackendPlaces } from '../../../lib/proxy/backend-places.ts';

class Stranger {
  readonly #places: BackendPlaces;
  readonly holding: (() => void)[] = [];
  readonly leave: (() => void)[] = [];
  readonly failures: Error[] = [];

  constructor(places: BackendPlaces) {
    this.#places = places;
  }

  ask(times: number): number {
    for (let count = 0; count < times; count += 1) {
      const start = (giveBack: () => void) => this.holding.push(giveBack);
      this.leave.push(this.#places.request(this, { start, fail: (error) => this.failures.push(error) }));
    }
    return this.holding.length;
  }

  giveBack(): void {
    this.holding.shift()?.();
  }
}

test('each has one, and of the stock as much as is left for others', () => {
  const places = new BackendPlaces(16);
  const held = Array.from({ length: 8 }, () => new Stranger(places).ask(128));
  assert.deepEqual(held, [9, 5, 3, 2, 2, 1, 1, 1]);
  assert.equal(new Stranger(places).ask(1), 1);
});

test('what is given back goes to who may have it; who has left the queue gets nothing', () => {
  const places = new BackendPlaces(2);
  const [first, second] = [new Stranger(places), new Stranger(places)];
  assert.deepEqual([first.ask(4), second.ask(3)], [2, 2]);
  second.leave[2]!();
  first.giveBack();
  assert.deepEqual([first.holding.length, second.holding.length], [2, 2]);
  first.giveBack();
  first.giveBack();
  assert.deepEqual([first.holding.length, second.holding.length], [1, 2]);
  second.giveBack();
  second.giveBack();
  assert.equal(second.ask(3), 2);
});

test('what cannot be sent has no place', () => {
  const places = new BackendPlaces(0);
  const stranger = new Stranger(places);
  const failure = new Error('no such field');
  const start = () => {
    throw failure;
  };
  places.request(stranger, { start, fail: (error) => stranger.failures.push(error) });
  assert.deepEqual(stranger.failures, [failure]);
  assert.deepEqual([stranger.ask(2), new Stranger(places).ask(2)], [1, 1]);
});

test('the stock follows the connections that there may be, and the files', () => {
  const web = [parseBackend('http://127.0.0.1:1')];
  assert.deepEqual(filesOf(10_000, web, 1_000_000), { stock: 2500, needed: 22_756 });
  assert.deepEqual(filesOf(400, web, 1_000_000), { stock: 256, needed: 1312 });
  assert.deepEqual(filesOf(10_000, web, 400), { stock: 100, needed: 20_356 });
  const others = [parseBackend('tcp://127.0.0.1:1'), parseBackend('h2c://127.0.0.1')];
  assert.deepEqual(filesOf(400, others, 1024).needed, 1312);
});
