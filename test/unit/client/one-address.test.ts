/** Two key servers behind one address, a connection to each: one answers pings and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Balancer } from '../../helpers/balancer.ts';
import { until } from '../../helpers/edge.ts';
import { answer, RudeEdges, sign } from '../../helpers/rude-edges.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a connection that stands still is not preferred to one that does not, also when what it had has timed out', async () => {
  const edges = await RudeEdges.make();
  const asked = [0, 0];
  let silent: number | undefined;
  const server = (at: 0 | 1) =>
    edges.rude((frame, socket) => {
      asked[at]! += 1;
      if (silent !== at) answer(frame, socket);
    });
  const ports = [await server(0), await server(1)].map(({ address }) => Number(address.split(':').pop()));
  const balancer = await Balancer.start(ports);
  edges.closesLast(balancer);
  const keys = edges.edge([balancer.address]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  await sign(keys, 1000);
  silent = asked[0] === 1 ? 0 : 1;
  await assert.rejects(sign(keys, 1000), { code: 'ERR_KEYLESS_TIMEOUT' });
  for (let times = 0; times < 10; times += 1) {
    await sign(keys);
    await pause(10);
  }
  await edges.close();
});
