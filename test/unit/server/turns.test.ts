import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asker, Turns } from '../../../lib/server/turns.ts';

interface Job {
  readonly name: string;
  end(): void;
}

/** Work that ends when it is told to. */
class Jobs {
  readonly begun: Job[] = [];

  work(name: string): () => Promise<string> {
    return () =>
      new Promise((resolve) => {
        this.begun.push({ name, end: () => resolve(name) });
      });
  }

  get names(): string[] {
    return this.begun.map(({ name }) => name);
  }
}

const asker = (client: string, wanted = () => true): Asker => ({ client, wanted });
const turn = () => new Promise(setImmediate);

test('clients come in turn, however many requests one has sent before', async () => {
  const jobs = new Jobs();
  const turns = new Turns(() => 1, 100);
  const results = ['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map((name) =>
    turns.run(asker(name[0]!), jobs.work(name)),
  );
  assert.equal(turns.waiting, 5);
  for (let index = 0; index < 6; index += 1) {
    jobs.begun[index]!.end();
    await turn();
  }
  assert.deepEqual(jobs.names, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
  assert.deepEqual(await Promise.all(results), ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']);
  assert.equal(turns.waiting, 0);
});

test('so many run at once; what fails makes room as well, and what answers at once takes none', async () => {
  const turns = new Turns(() => 2, 100);
  const jobs = new Jobs();
  assert.equal(
    turns.run(asker('a'), () => 'now'),
    'now',
  );
  void turns.run(asker('a'), jobs.work('one'));
  const failing = turns.run(asker('a'), () => Promise.reject(new Error('no')));
  void turns.run(asker('a'), jobs.work('two'));
  assert.deepEqual(jobs.names, ['one']);
  await assert.rejects(async () => failing, /no/);
  await turn();
  assert.deepEqual(jobs.names, ['one', 'two']);
});

test('what nobody waits for any more is not begun', async () => {
  const turns = new Turns(() => 1, 100);
  const jobs = new Jobs();
  let there = true;
  void turns.run(asker('a'), jobs.work('first'));
  const gone = turns.run(
    asker('b', () => there),
    jobs.work('second'),
  );
  void turns.run(asker('c'), jobs.work('third'));
  there = false;
  jobs.begun[0]!.end();
  assert.equal(await gone, 'abandoned');
  assert.deepEqual(jobs.names, ['first', 'third']);
});

test('beyond what may wait, work is refused at once', () => {
  const turns = new Turns(() => 1, 2);
  const jobs = new Jobs();
  for (const name of ['running', 'waits', 'waits too']) void turns.run(asker('a'), jobs.work(name));
  assert.equal(turns.run(asker('b'), jobs.work('refused')), 'overloaded');
  assert.deepEqual(jobs.names, ['running']);
});

test('work that throws when its turn has come fails by itself, and the next has its turn', async () => {
  const turns = new Turns(() => 1, 100);
  const jobs = new Jobs();
  void turns.run(asker('a'), jobs.work('first'));
  const thrown = turns.run(asker('b'), () => {
    throw new Error('broken');
  });
  void turns.run(asker('c'), jobs.work('third'));
  jobs.begun[0]!.end();
  await assert.rejects(async () => thrown, /broken/);
  assert.deepEqual(jobs.names, ['first', 'third']);
});
