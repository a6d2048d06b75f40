/** Who is served before whom, and whom an edge does not talk to. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { until } from '../../helpers/edge.ts';
import { answer, RudeEdges, sign } from '../../helpers/rude-edges.ts';

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

test('a key server that speaks our protocol over TLS 1.2 is not asked', async () => {
  let asked = 0;
  const count = () => {
    asked += 1;
  };
  const mixed = await edges.rude(count, { profile: 'mixed' });
  const keys = edges.edge([mixed]);
  await assert.rejects(keys.ready(), ({ message, cause }: Error) =>
    /without TLS 1\.3/.test(`${message} ${cause}`),
  );
  assert.equal(asked, 0);
});

test('a key server that is being tried again has one operation at a time', async () => {
  let [manner, asked] = ['fails', 0];
  const tried = await edges.rude((frame, socket) => {
    asked += 1;
    if (manner === 'fails') socket.write(encodeError(frame.id, 8));
  });
  const keys = edges.edge([tried, await edges.rude()]);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  while (keys.stats().servers[0]!.breaker === 'closed') await sign(keys);
  [manner, asked] = ['silent', 0];
  await until(() => keys.stats().servers[0]!.breaker === 'half-open');
  for (let times = 0; times < 20; times += 1) {
    const signed = Promise.all(Array.from({ length: 10 }, () => sign(keys)));
    assert.ok(keys.stats().servers[0]!.inFlight <= 1);
    await signed;
  }
  assert.ok(asked >= 1, 'it was tried');
});

test('ticket keys wait behind no flood: not for room, and not in a line', async () => {
  const full = await edges.rude(
    (frame, socket) => {
      if (frame.items.functionName !== undefined) answer(frame, socket);
    },
    { functions: ['ticket-keys'] },
  );
  // All of the flood is to be served, or to end, before them.
  const keys = edges.edge([full], { timeoutMs: 60_000 });
  await until(() => keys.stats().servers[0]!.ready === 2);
  const flood = Array.from({ length: 300 }, () => sign(keys, 20_000).catch(({ code }) => code));
  await until(() => keys.stats().waiting > 100);
  const since = performance.now();
  assert.ok((await keys.ticketKeys()).length > 0);
  assert.ok(performance.now() - since < 10_000);
  keys.close();
  await Promise.all(flood);
});
