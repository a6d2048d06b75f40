/** Key servers that answer with an error what others do: who is asked then, and who the next time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { Refusals } from '../../../lib/client/refusals.ts';
import type { KeylessError } from '../../../lib/errors.ts';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { until } from '../../helpers/edge.ts';
import { decryptOperation, signOperation } from '../../helpers/operations.ts';
import { answer, KEY_ID, RudeEdges, sign } from '../../helpers/rude-edges.ts';
import type { OnRequest } from '../../helpers/rude-key-server.ts';

/** At once, than one key server has room for at first: all that may be asked are. */
const MORE_THAN_ROOM = 100;
let edges: RudeEdges;
const edge: RudeEdges['edge'] = (...args) => edges.edge(...args);

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

/** A key server, and how often it was asked. @param refuses the error it answers with; default: it does what it is asked */
async function counted(
  refuses?: (keyId: Buffer) => 1 | 2 | 3 | 5 | 7 | 8 | undefined,
  options: Parameters<RudeEdges['rude']>[1] = {},
) {
  const onRequest: OnRequest = (frame, socket) => {
    it.asked += 1;
    const error = refuses?.(Buffer.from(frame.items.keyId ?? []));
    if (error === undefined) answer(frame, socket);
    else socket.write(encodeError(frame.id, error));
  };
  const it = Object.assign(await edges.rude(onRequest, options), { asked: 0 });
  return it;
}

async function edgeOf(servers: Parameters<RudeEdges['edge']>[0]) {
  const keys = edge(servers);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  return keys;
}

test('a refusal is remembered for 30 s, or until the same is done; the oldest of 4,097 is forgotten', () => {
  const refusals = new Refusals();
  refusals.note('a', 1000);
  assert.deepEqual([refusals.has('a', 30_999), refusals.has('b', 1000)], [true, false]);
  assert.equal(refusals.has('a', 31_000), false);
  assert.ok(refusals.isEmpty);
  for (let at = 0; at <= 4096; at += 1) refusals.note(`${at}`, at);
  assert.deepEqual(
    [refusals.has('0', 4096), refusals.has('1', 4096), refusals.has('4096', 4096)],
    [false, true, true],
  );
  refusals.forget('1');
  assert.equal(refusals.has('1', 4096), false);
});

test('who does not have one key is asked for the others all the same', async () => {
  const other = Buffer.alloc(20, 7);
  const lacking = await counted((keyId) => (keyId.equals(KEY_ID) ? 2 : undefined));
  const having = await counted();
  const keys = await edgeOf([lacking, having]);
  const stats = () => keys.stats().servers[0]!;
  while (stats().errors.ERR_KEYLESS_KEY_NOT_FOUND === undefined) await sign(keys);
  for (let times = 0; times < 10; times += 1) await sign(keys);
  assert.equal(stats().errors.ERR_KEYLESS_KEY_NOT_FOUND, 1);
  await Promise.all(Array.from({ length: MORE_THAN_ROOM }, () => keys.sign(signOperation(other))));
  assert.ok(stats().answered > 0);
});

test('who has got the key meanwhile, and was asked because nobody else was there, is asked again', async () => {
  let error: 2 | undefined = 2;
  const [one, other] = [await counted(() => error), await counted()];
  const keys = await edgeOf([one, other]);
  while (keys.stats().servers[0]!.errors.ERR_KEYLESS_KEY_NOT_FOUND === undefined) await sign(keys);
  const { port } = other;
  await other.close();
  await until(() => keys.stats().servers[1]!.ready === 0);
  error = undefined;
  await sign(keys);
  await edges.rude(answer, { port });
  await until(() => keys.stats().servers[1]!.ready === 2);
  const { asked } = one;
  await Promise.all(Array.from({ length: MORE_THAN_ROOM }, () => sign(keys)));
  assert.ok(one.asked > asked);
});

test('an unknown key is an internal error to those of the field: it is remembered, and does not open the breaker', async () => {
  const field = { profile: 'field' } as const;
  const lacking = await counted((keyId) => (keyId.equals(KEY_ID) ? 8 : undefined), field);
  const keys = await edgeOf([lacking, await counted(undefined, field)]);
  const stats = () => keys.stats().servers[0]!;
  while (stats().errors.ERR_KEYLESS_KEY_SERVER_INTERNAL === undefined) await sign(keys);
  for (let times = 0; times < 20; times += 1) await sign(keys);
  assert.deepEqual([stats().errors, stats().breaker], [{ ERR_KEYLESS_KEY_SERVER_INTERNAL: 1 }, 'closed']);
});

test('what all key servers refuse is the fault of none: each is asked for the next one', async () => {
  let error: 2 | undefined = 2;
  const servers = [await counted(() => error), await counted(() => error)];
  const keys = await edgeOf(servers);
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
  error = undefined;
  await sign(keys);
  await Promise.all(Array.from({ length: MORE_THAN_ROOM }, () => sign(keys)));
  assert.ok(servers.every(({ asked }) => asked > 1));
});

test('three are asked at most; the next time, first those that were not', async () => {
  const refusing = await Promise.all([2, 2, 2, 2].map(() => counted(() => 2)));
  const keys = await edgeOf([...refusing, await counted()]);
  const asked = () => refusing.reduce((sum, each) => sum + each.asked, 0);
  const outcomes: unknown[] = [];
  for (let times = 0; times < 3; times += 1) {
    const before = asked();
    outcomes.push(await sign(keys).catch(({ code }) => code));
    assert.ok(asked() - before <= 3);
  }
  assert.ok(outcomes[2] instanceof Uint8Array, String(outcomes[2]));
});

test('a decryption is asked for elsewhere where the key is not there, and not where the padding may be wrong', async () => {
  for (const [error, isAskedElsewhere] of [
    [2, true],
    [1, false],
    [7, false],
  ] as const) {
    const servers = [await counted(() => error), await counted(() => error)];
    const keys = await edgeOf(servers);
    await assert.rejects(keys.decrypt!(decryptOperation(KEY_ID, Buffer.alloc(256, 1))));
    assert.equal(servers[0]!.asked + servers[1]!.asked, isAskedElsewhere ? 2 : 1, `error ${error}`);
  }
});

for (const [error, code] of [
  [2, 'ERR_KEYLESS_KEY_NOT_FOUND'],
  [3, 'ERR_KEYLESS_KEY_SERVER_READ'],
  [8, 'ERR_KEYLESS_KEY_SERVER_INTERNAL'],
] as const) {
  test(`error 0${error}: where the others are being restarted, an operation waits for them`, async () => {
    const failing = await counted(() => error);
    const other = await counted();
    const keys = await edgeOf([failing, other]);
    const { port } = other;
    await other.close();
    await until(() => keys.stats().servers[1]!.ready === 0);
    const signed = sign(keys);
    await until(() => keys.stats().waiting === 1);
    await edges.rude(answer, { port });
    assert.ok((await signed) instanceof Uint8Array);
    assert.equal(failing.asked, 1);
  });

  test(`error 0${error}: where they do not come back in time, the error says who answered with it`, async () => {
    const failing = await counted(() => error);
    const other = await counted();
    const keys = await edgeOf([failing, other]);
    await other.close();
    await until(() => keys.stats().servers[1]!.ready === 0);
    await assert.rejects(sign(keys, 200), (reason: KeylessError) => {
      assert.equal(reason.code, 'ERR_KEYLESS_TIMEOUT');
      assert.equal((reason.cause as KeylessError).code, code);
      return true;
    });
    assert.equal(failing.asked, 1);
  });
}

test('who has failed it, and is restarted meanwhile, is asked again', async () => {
  const failing = await counted(() => 8);
  const other = await counted();
  const keys = await edgeOf([failing, other]);
  await other.close();
  await until(() => keys.stats().servers[1]!.ready === 0);
  const signed = sign(keys);
  await until(() => keys.stats().waiting === 1);
  const { port } = failing;
  await failing.close();
  await edges.rude(answer, { port });
  assert.ok((await signed) instanceof Uint8Array);
});

test('one that is tried for the first time is waited for no longer than until that has failed', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const failing = await counted(() => 8);
  const keys = edge([failing, `127.0.0.1:${port}`]);
  await until(() => keys.stats().servers[0]!.ready === 2 && sockets.length === 1);
  const signed = sign(keys);
  await until(() => keys.stats().waiting === 1);
  silent.close();
  sockets[0]!.destroy();
  await assert.rejects(signed, { code: 'ERR_KEYLESS_KEY_SERVER_INTERNAL' });
  assert.equal(failing.asked, 1);
});

test('others that were never there are not waited for', async () => {
  const lacking = await counted(() => 2);
  const gone = await counted();
  const { address } = gone;
  await gone.close();
  const keys = edge([lacking, address]);
  await until(() => keys.stats().servers[0]!.ready === 2 && keys.stats().servers[1]!.failures > 0);
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
});

test('a custom function is asked for where it is said to be: never of the field beside one that has it', async () => {
  const servers = [
    await counted(() => 5, { profile: 'field' }),
    await counted(() => 5),
    await counted(undefined, { functions: ['ticket-keys', 'rsa-premaster', 'sign:ed448'] }),
  ];
  const keys = await edgeOf(servers);
  for (let times = 0; times < 5; times += 1) {
    await keys.ticketKeys();
    await keys.sign(signOperation(KEY_ID, 'ed448'));
  }
  assert.deepEqual(
    servers.map(({ asked }) => asked),
    [0, 0, 10],
  );
  for (let times = 0; times < 5; times += 1)
    await keys.decrypt!(decryptOperation(KEY_ID, Buffer.alloc(256, 1)));
  assert.equal(servers[1]!.asked, 0, 'which has no function, and those of the field need none');
});

test('where nobody says that it has it, somebody is asked all the same: its error says why', async () => {
  const keys = await edgeOf([await counted(() => 5, { profile: 'field' }), await counted(() => 5)]);
  await assert.rejects(keys.ticketKeys(), { code: 'ERR_KEYLESS_REFUSED' });
});

test('ticket keys are not given by one that says it has them, to this edge: another one is asked, and the next time first', async () => {
  const functions = ['ticket-keys'];
  const refusing = await counted(() => 5, { functions });
  const keys = await edgeOf([refusing, await counted(undefined, { functions })]);
  for (let times = 0; times < 10; times += 1) await keys.ticketKeys();
  assert.ok(refusing.asked <= 1, `${refusing.asked}`);
});
