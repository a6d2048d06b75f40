/** Second requests between real sockets: how many key servers get that are slow, all of them, or for operations of one kind. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hedgeDelayMs, type Timed } from '../../../lib/client/hedge-delay.ts';
import type { KeyServers } from '../../../lib/keys/key-servers.ts';
import type { SignatureScheme } from '../../../lib/keys/private-key.ts';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { CustomFunction } from '../../../lib/protocol/opcodes.ts';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import { until } from '../../helpers/edge.ts';
import { lastingPort } from '../../helpers/lasting-port.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { decryptOperation, signOperation } from '../../helpers/operations.ts';
import { answer, KEY_ID, RudeEdges } from '../../helpers/rude-edges.ts';
import type { OnRequest } from '../../helpers/rude-key-server.ts';

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function twoServers(onRequest: OnRequest) {
  const servers = [await edges.rude(onRequest), await edges.rude(onRequest)];
  const keys = edges.edge(servers);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  return (scheme?: SignatureScheme) => keys.sign(signOperation(KEY_ID, scheme));
}

test('where all key servers take longer than a standstill, second requests keep to their budget', async () => {
  let asked = 0;
  const sign = await twoServers((frame, socket) => {
    asked += 1;
    setTimeout(answer, 700, frame, socket);
  });
  const signed: Promise<unknown>[] = [];
  for (let at = 0; at < 100; at += 1) {
    signed.push(sign());
    await pause(10);
  }
  await Promise.all(signed);
  assert.ok(asked <= 100 + 10 + 5, `${asked} requests for 100 operations`);
});

test('RSA among much faster P-256 is not asked for twice because it takes longer than that', async () => {
  let asked = 0;
  const sign = await twoServers((frame, socket) => {
    const isRsa = frame.items.opcode![0] === SIGNING_METHODS.rsa_pss_rsae_sha256.opcode;
    if (isRsa) asked += 1;
    setTimeout(answer, isRsa ? 1000 : 0, frame, socket);
  });
  for (let round = 0; round < 20; round += 1) await Promise.all(Array.from({ length: 10 }, () => sign()));
  // Behind them: what little is known of RSA fades with the time they take.
  await sign('rsa_pss_rsae_sha256');
  await Promise.all(Array.from({ length: 59 }, () => sign('rsa_pss_rsae_sha256')));
  // The first one: nothing was known. Others, where a busy machine answers half as late again.
  assert.ok(asked <= 60 + 5, `${asked} requests for 60 operations`);
});

const PREMASTER = CustomFunction.RSA_PREMASTER;

/** One that answers after 30 ms, and one that greets, and answers nothing else but pings. */
async function goodAndSilent(options: Parameters<RudeEdges['rude']>[1], timeoutMs: number) {
  const asked = { good: 0, silent: 0 };
  const good = await edges.rude((frame, socket) => {
    asked.good += 1;
    setTimeout(answer, 30, frame, socket);
  }, options);
  const silent = await edges.rude(() => {
    asked.silent += 1;
  }, options);
  const keys = edges.edge([good, silent], { timeoutMs });
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  return { keys, asked };
}

const repeatable = {
  'ticket keys': (keys: KeyServers) => keys.ticketKeys(),
  'a premaster': (keys: KeyServers) => keys.decrypt!(decryptOperation(KEY_ID, Buffer.alloc(256, 3))),
};
for (const [what, ask] of Object.entries(repeatable)) {
  test(`${what} that a key server does not answer with another one is asked for`, async () => {
    const functions = [PREMASTER, CustomFunction.TICKET_KEYS];
    const { keys, asked } = await goodAndSilent({ functions }, 10_000);
    for (let round = 0; round < 6; round += 1) await ask(keys);
    const { hedged, failed, retried } = keys.stats();
    // The last one may be on its way.
    await until(() => asked.silent >= hedged);
    assert.deepEqual([asked.good, asked.silent, failed, retried], [6, hedged, 0, 0]);
    keys.close();
  });
}

test('a second request goes to one that has answered before, and not to one of which nothing is known', async () => {
  const ports = await Promise.all([lastingPort(), lastingPort(), lastingPort()]);
  const good = await edges.rude((...request) => void setTimeout(answer, 30, ...request));
  const keys = edges.edge([good, ...ports.map((port) => `127.0.0.1:${port}`)], { timeoutMs: 3000 });
  await keys.sign(signOperation(KEY_ID));
  let silent = 0;
  const onRequest = () => {
    silent += 1;
  };
  for (const port of ports) await edges.rude(onRequest, { port });
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  for (let round = 0; round < 6; round += 1) await keys.sign(signOperation(KEY_ID));
  const { hedged, failed } = keys.stats();
  assert.ok(silent > 0);
  assert.deepEqual([hedged, failed], [silent, 0]);
});

test('of the field only one is asked for a premaster at a time: an error for its padding is as early from each', async () => {
  const { keys, asked } = await goodAndSilent({ profile: 'field' }, 2000);
  const decrypt = async () => repeatable['a premaster'](keys).then(String, ({ code }) => code);
  const results: string[] = [];
  for (let round = 0; round < 4; round += 1) results.push(await decrypt());
  assert.equal(keys.stats().hedged, 0);
  assert.equal(asked.good + asked.silent, 4, results.join());
  keys.close();
});

test('whoever lets an operation time out is not taken for the quickest: the next ones go to others', async () => {
  const { keys, asked } = await goodAndSilent({ profile: 'field' }, 2000);
  for (let round = 0; round < 12; round += 1) await repeatable['a premaster'](keys).catch(() => undefined);
  assert.ok(asked.silent <= 1, `${asked.silent} of 12 were asked of it`);
  assert.equal(asked.good, 12 - asked.silent);
  keys.close();
});

test('one of the field is not asked for the premaster that one of ours is asked for, nor the other way round', async () => {
  const silent = [
    await edges.rude(() => undefined, { functions: [PREMASTER] }),
    await edges.rude(() => undefined, { profile: 'field' }),
  ];
  const keys = edges.edge(silent, { timeoutMs: 300 });
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  for (let round = 0; round < 4; round += 1)
    await assert.rejects(repeatable['a premaster'](keys), { code: 'ERR_KEYLESS_TIMEOUT' });
  const { hedged, servers } = keys.stats();
  const asked = servers.map(({ errors }) => errors.ERR_KEYLESS_TIMEOUT ?? 0);
  assert.equal(hedged, 0);
  const [ours, field] = asked as [number, number];
  assert.ok(ours > 0 && field > 0 && ours + field === 4, asked.join());
  keys.close();
});

for (const code of [2, 6, 8] as const) {
  test(`key servers that answer a second request, and the first one, with error ${code} are not asked again`, async () => {
    const asked = [0, 0];
    const late =
      (at: 0 | 1): OnRequest =>
      ({ id }, socket) => {
        asked[at]! += 1;
        setTimeout(() => socket.write(encodeError(id, code)), 150);
      };
    const keys = edges.edge([await edges.rude(late(0)), await edges.rude(late(1))]);
    await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
    await assert.rejects(keys.sign(signOperation(KEY_ID)), /answered with error/);
    assert.deepEqual(asked, [1, 1]);
    const { hedged, retried } = keys.stats();
    assert.deepEqual([hedged, retried], [1, 0]);
    keys.close();
  });
}

test('where one stands still, the other one is asked also while it is left alone', async () => {
  const clock = new ManualClock();
  let [failing, silent] = [true, false];
  const first = await edges.rude((frame, socket) => {
    if (failing) socket.write(encodeError(frame.id, 8));
    else answer(frame, socket);
  });
  const second = await edges.rude((...request) => {
    if (!silent) answer(...request);
  });
  const keys = edges.edge([first, second], { clock, pingTimeoutMs: 60_000 });
  const sign = () => keys.sign(signOperation(KEY_ID));
  const breaker = () => keys.stats().servers[0]!.breaker;
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  while (breaker() === 'closed') await sign();
  clock.advance(1000);
  await until(() => breaker() === 'half-open');
  // For another second at least.
  while (breaker() === 'half-open') await sign();
  [failing, silent] = [false, true];
  const signed = sign();
  clock.advance(550);
  assert.equal(keys.stats().hedged, 1);
  await signed;
});

test('a time-out names the key server that did not answer, and not the one that did', async () => {
  const silent = await edges.rude(() => undefined);
  const other = await edges.rude(({ id }, socket) => void socket.write(encodeError(id, 2)));
  const keys = edges.edge([silent, other]);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  const failed = Array.from({ length: 10 }, () =>
    assert.rejects(keys.sign(signOperation(KEY_ID, undefined, undefined, 500)), {
      code: 'ERR_KEYLESS_TIMEOUT',
      message: new RegExp(`${silent.address} did not answer`),
    }),
  );
  await Promise.all(failed);
  assert.ok(keys.stats().hedged > 0);
});

test('who waits in vain for room at a key server is told that one is there', async () => {
  const keys = edges.edge([await edges.rude(() => undefined)]);
  await keys.ready();
  const asked = Array.from({ length: 64 }, () => keys.sign(signOperation(KEY_ID)));
  await assert.rejects(keys.sign(signOperation(KEY_ID, undefined, undefined, 100)), {
    code: 'ERR_KEYLESS_TIMEOUT',
    message: /^No key server had room for it within \d+ ms\.$/,
  });
  keys.close();
  await Promise.allSettled(asked);
});

test('a second request waits for longer than the quickest key server nearly always takes', () => {
  const server = (p95Ms: number | undefined, averageMs: number): Timed => ({
    p95Ms: () => p95Ms,
    averageMs: () => averageMs,
  });
  const delayMs = (...servers: Timed[]) => hedgeDelayMs(servers, 'quick', 0);
  assert.equal(delayMs(server(100, 1), server(20, 500), server(undefined, 1)), 30);
  assert.equal(delayMs(server(1, 1)), 10, 'timers and the loop are no better');
  assert.equal(delayMs(server(undefined, 0.5), server(undefined, 2000)), 50, 'too little is known');
  assert.equal(delayMs(server(undefined, 60), server(undefined, 800)), 90, 'but they have been slow');
  assert.equal(delayMs(), 50);
});
