/** What answers say of a key server that nobody waited for any more. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { until } from '../../helpers/edge.ts';
import { answer, RudeEdges, sign } from '../../helpers/rude-edges.ts';
import type { OnRequest } from '../../helpers/rude-key-server.ts';

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

const failing =
  (code: 2 | 8): OnRequest =>
  ({ id }, socket) =>
    void socket.write(encodeError(id, code));
const late =
  (then: OnRequest): OnRequest =>
  (...request) =>
    void setTimeout(then, 150, ...request);

const fail = failing(8);

/** One that is being tried, and then answers so; beside it one that answers before. */
async function tried(manner: OnRequest) {
  let now = fail;
  const far = await edges.rude((...request) => now(...request));
  const near = await edges.rude((...request) => void setTimeout(answer, 10, ...request));
  const keys = edges.edge([far, near]);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  const stats = () => keys.stats().servers[0]!;
  while (stats().breaker === 'closed') await sign(keys);
  now = manner;
  await until(() => stats().breaker === 'half-open');
  return { keys, stats };
}

for (const [what, then] of [
  ['a signature', answer],
  ['that it does not have the key', failing(2)],
] as const) {
  test(`a key server that is being tried, and answers ${what} when another one has, is trusted again`, async () => {
    const { keys, stats } = await tried(late(then));
    for (let times = 0; times < 50 && stats().breaker === 'half-open'; times += 1) await sign(keys);
    assert.equal(stats().breaker, 'closed');
    assert.equal(keys.stats().failed, 0);
  });
}

test('one that says late that it has failed is not', async () => {
  const { keys, stats } = await tried(late(fail));
  while (stats().lateAnswers === 0) await sign(keys);
  assert.notEqual(stats().breaker, 'closed');
});

test('nor is one that answers what has timed out', async () => {
  const held: Parameters<OnRequest>[] = [];
  const keys = edges.edge([await edges.rude((...request) => void held.push(request))], { timeoutMs: 1100 });
  const stats = () => keys.stats().servers[0]!;
  await until(() => stats().ready === 2);
  await Promise.allSettled(Array.from({ length: 5 }, () => sign(keys)));
  await until(() => stats().breaker === 'half-open');
  for (const request of held) answer(...request);
  await until(() => stats().lateAnswers === 5);
  assert.equal(stats().breaker, 'half-open');
});
