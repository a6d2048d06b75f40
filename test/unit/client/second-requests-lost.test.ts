/** What comes of an operation whose second request comes to nothing, while the key server that was asked first does not answer. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KeyServers } from '../../../lib/keys/key-servers.ts';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { CustomFunction } from '../../../lib/protocol/opcodes.ts';
import { until } from '../../helpers/edge.ts';
import { decryptOperation } from '../../helpers/operations.ts';
import { answer, KEY_ID, RudeEdges, sign } from '../../helpers/rude-edges.ts';
import type { OnRequest, RudeKeyServer } from '../../helpers/rude-key-server.ts';

const TIMEOUT = { code: 'ERR_KEYLESS_TIMEOUT' };
const functions = [CustomFunction.RSA_PREMASTER];
const internal: OnRequest = ({ id }, socket) => void socket.write(encodeError(id, 8));
const hangUp: OnRequest = (_frame, socket) => void socket.destroy();

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

/** One that answers pings and nothing else, and another one. */
async function besideSilent(onRequest: OnRequest) {
  const asked = { silent: 0, other: 0 };
  const silent = await edges.rude(
    () => {
      asked.silent += 1;
    },
    { functions },
  );
  const other = await edges.rude(
    (...request) => {
      asked.other += 1;
      onRequest(...request);
    },
    { functions },
  );
  const keys = edges.edge([silent, other]);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  return { keys, other, asked };
}

const signAll = (keys: KeyServers, count: number, timeoutMs: number) =>
  Promise.all(Array.from({ length: count }, () => sign(keys, timeoutMs)));

test('second requests that are lost with their connection are made again', async () => {
  let isHolding = true;
  const { keys, other } = await besideSilent((...request) => {
    if (!isHolding) answer(...request);
  });
  const signed = signAll(keys, 16, 10_000);
  await until(() => keys.stats().hedged >= 4);
  isHolding = false;
  other.drop();
  await signed;
  keys.close();
});

test('what a key server fails at, first or second, it is asked again where the other one does not answer', async () => {
  const failed = 4;
  const { keys, asked } = await besideSilent((...request) => {
    if (asked.other <= failed) internal(...request);
    else answer(...request);
  });
  await signAll(keys, 16, 10_000);
  assert.equal(keys.stats().servers[1]!.errors.ERR_KEYLESS_KEY_SERVER_INTERNAL, failed);
  keys.close();
});

const inAll = [
  ['three attempts', internal, 3],
  ['three attempts, and a fourth by a connection made since', hangUp, 4],
] as const;
for (const [what, fails, attempts] of inAll) {
  test(`second requests that come to nothing again and again end with ${what}`, async () => {
    const { keys, asked } = await besideSilent(fails);
    await assert.rejects(sign(keys, 3000), TIMEOUT);
    assert.equal(asked.silent + asked.other, attempts);
    keys.close();
  });
}

test('a premaster that a key server denies is asked for nowhere else', async () => {
  const { keys, asked } = await besideSilent(({ id }, socket) => void socket.write(encodeError(id, 1)));
  const denied = decryptOperation(KEY_ID, Buffer.alloc(256, 3));
  await assert.rejects(keys.decrypt!({ ...denied, deadline: performance.now() + 1500 }));
  assert.ok(asked.silent <= 1 && asked.other === 1, JSON.stringify(asked));
  keys.close();
});

for (const isKept of [true, false]) {
  const rest = isKept ? 'stays in' : 'leaves';
  test(`what the sole key server leaves unanswered is asked of one that comes, where it ${rest} the record`, async () => {
    let asked = 0;
    const silent = await edges.rude(() => {
      asked += 1;
    });
    const next = await edges.rude(answer);
    const recordOf = ({ port }: RudeKeyServer) => ({ name: '127.0.0.1', port, priority: 0 });
    let records = [recordOf(silent)];
    const resolveSrv = async () => records;
    const keys = edges.edge([], { servers: undefined, srv: 'x', srvIntervalMs: 20, resolveSrv });
    await keys.ready();
    const signed = signAll(keys, 16, 10_000);
    await until(() => asked === 16);
    records = isKept ? [recordOf(silent), recordOf(next)] : [recordOf(next)];
    await signed;
    keys.close();
  });
}
