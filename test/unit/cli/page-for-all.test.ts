import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageForAll } from '../../../lib/cli/page-for-all.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const turn = () => new Promise(setImmediate);

function setup() {
  const clock = new ManualClock();
  const finish: ((page: Buffer) => void)[] = [];
  const fail: ((error: Error) => void)[] = [];
  const make = () =>
    new Promise<Buffer>((resolve, reject) => {
      finish.push(resolve);
      fail.push(reject);
    });
  return { clock, finish, fail, pages: new PageForAll(make, clock) };
}

test('one page is made at a time, and is that of all who ask meanwhile', async () => {
  const { finish, pages } = setup();
  const asked = [pages.next(), pages.next()];
  await turn();
  asked.push(pages.next());
  assert.equal(finish.length, 1);
  finish[0]!(Buffer.from('1'));
  for (const page of await Promise.all(asked)) assert.equal(page.toString(), '1');
});

for (const [costMs, pauseMs] of [
  [3, 300],
  [500, 2000],
] as const) {
  test(`after a page that took ${costMs} ms the next one begins ${pauseMs} ms later, and is new`, async () => {
    const { clock, finish, pages } = setup();
    const first = pages.next();
    clock.advance(costMs);
    finish[0]!(Buffer.from('1'));
    await first;
    const asked = [pages.next(), pages.next()];
    clock.advance(pauseMs - 1);
    await turn();
    assert.equal(finish.length, 1);
    clock.advance(1);
    await turn();
    assert.equal(finish.length, 2);
    finish[1]!(Buffer.from('2'));
    for (const page of await Promise.all(asked)) assert.equal(page.toString(), '2');
  });
}

test('a page that cannot be made is made again for who asks then', async () => {
  const { fail, finish, pages } = setup();
  const first = pages.next();
  fail[0]!(new Error('no'));
  await assert.rejects(first, /no/);
  const second = pages.next();
  await turn();
  finish[1]!(Buffer.from('2'));
  assert.equal((await second).toString(), '2');
});
