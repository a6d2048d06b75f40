import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { KeylessError } from '../../../lib/errors.ts';
import type { KeyServers, KeyServersOptions } from '../../../lib/keys/key-servers.ts';
import { encodeError, encodePong, encodeResult } from '../../../lib/protocol/answers.ts';
import { asTurn } from '../../../lib/turn.ts';
import { makeAuthority } from '../../helpers/certificates.ts';
import { until } from '../../helpers/edge.ts';
import { lastingPort } from '../../helpers/lasting-port.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { signOperation } from '../../helpers/operations.ts';
import { answer, KEY_ID, RudeEdges, SIGNATURE, sign } from '../../helpers/rude-edges.ts';
import { type OnRequest, type RudeKeyServer, startRudeKeyServer } from '../../helpers/rude-key-server.ts';
import { stopwatch } from '../../helpers/stopwatch.ts';

let edges: RudeEdges;
const rude: RudeEdges['rude'] = (...args) => edges.rude(...args);
const edge: RudeEdges['edge'] = (...args) => edges.edge(...args);

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

test('answers in any order reach those who asked', async () => {
  const asked: (() => void)[] = [];
  const server = await rude(({ id, items }, socket) => {
    asked.push(() => socket.write(encodeResult(id, items.payload!)));
    if (asked.length === 20) for (const reply of asked.reverse()) reply();
  });
  const keys = edge([server]);
  const operations = Array.from({ length: 20 }, (_, at) =>
    signOperation(KEY_ID, 'ed25519', Buffer.from(`message ${at}`)),
  );
  const answers = await Promise.all(operations.map((operation) => keys.sign(operation)));
  assert.deepEqual(
    answers.map((bytes) => Buffer.from(bytes).toString()),
    operations.map(({ message }) => message.toString()),
  );
});

test('an answer stays as it is when others come, on this connection and on others', async () => {
  const echo: OnRequest = ({ id, items }, socket) => void socket.write(encodeResult(id, items.payload!));
  const [one, other] = [edge([await rude(echo)]), edge([await rude(echo)])];
  const ask = (keys: KeyServers, text: string) =>
    keys.sign(signOperation(KEY_ID, 'ed25519', Buffer.from(text)));
  const first = await ask(one, 'first message');
  await ask(one, 'other message');
  await ask(other, 'third message');
  assert.equal(Buffer.from(first).toString(), 'first message');
});

test('requests of a turn of the engine leave in one write when it ends', async () => {
  const server = await rude();
  const keys = edge([server], { connectionsPerServer: 1 });
  await keys.ready();
  server.chunks.length = 0;
  const signed: Promise<Uint8Array>[] = [];
  asTurn(() => signed.push(sign(keys), sign(keys), sign(keys)));
  await Promise.all(signed);
  assert.deepEqual(server.chunks, [3 * 1024]);
});

test('requests of one turn leave in one write', async () => {
  const server = await rude();
  const keys = edge([server]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  server.chunks.length = 0;
  await Promise.all(Array.from({ length: 10 }, () => sign(keys)));
  assert.deepEqual(server.chunks, [10 * 1024]);
});

test('answers byte by byte, and merged ones, are the same answers', async () => {
  const server = await rude(({ id }, socket) => {
    for (const octet of encodeResult(id, SIGNATURE)) socket.write(Buffer.of(octet));
  });
  const keys = edge([server]);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  const merged: Buffer[] = [];
  const other = await rude(({ id }, socket) => {
    merged.push(encodeResult(id, SIGNATURE));
    if (merged.length === 5) socket.write(Buffer.concat(merged));
  });
  const patient = edge([other]);
  const results = await Promise.all(Array.from({ length: 5 }, () => sign(patient)));
  assert.equal(results.length, 5);
});

test('an answer that does not come in time is a time-out, and ignored when it comes', async () => {
  const late: (() => void)[] = [];
  const server = await rude(
    ({ id }, socket) => void late.push(() => socket.write(encodeResult(id, SIGNATURE))),
  );
  const keys = edge([server]);
  await keys.ready();
  const took = stopwatch();
  await assert.rejects(sign(keys, 100), { code: 'ERR_KEYLESS_TIMEOUT' });
  assert.ok(took() < 1000);
  late[0]!();
  await until(() => keys.stats().servers[0]!.lateAnswers === 1);
  assert.equal(keys.stats().servers[0]!.inFlight, 0);
});

test('a signal that fires gives the operation up, with its reason', async () => {
  const server = await rude(() => undefined);
  const keys = edge([server]);
  await keys.ready();
  const controller = new AbortController();
  const reason = new KeylessError('ERR_KEYLESS_ABORTED', 'the client went');
  const pending = keys.sign({ ...signOperation(KEY_ID), signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(pending, reason);
  await assert.rejects(keys.sign({ ...signOperation(KEY_ID), signal: AbortSignal.abort() }), {
    code: 'ERR_KEYLESS_ABORTED',
  });
});

test('a signal that outlives its operations is let go of by each', async () => {
  const keys = edge([await rude()]);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 3 }, () => keys.sign({ ...signOperation(KEY_ID), signal })));
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

const CODES: readonly (readonly [number, string])[] = [
  [1, 'ERR_KEYLESS_KEY_SERVER_CRYPTO'],
  [2, 'ERR_KEYLESS_KEY_NOT_FOUND'],
  [3, 'ERR_KEYLESS_KEY_SERVER_READ'],
  [4, 'ERR_KEYLESS_KEY_SERVER_VERSION'],
  [5, 'ERR_KEYLESS_REFUSED'],
  [6, 'ERR_KEYLESS_KEY_SERVER_UNEXPECTED'],
  [7, 'ERR_KEYLESS_KEY_SERVER_MALFORMED'],
  [8, 'ERR_KEYLESS_KEY_SERVER_INTERNAL'],
  [9, 'ERR_KEYLESS_CERTIFICATE_NOT_FOUND'],
  [10, 'ERR_KEYLESS_PROTOCOL'],
];

test('each error of a key server is a code of ours, and asked once only', async () => {
  let asked = 0;
  let code = 0;
  const server = await rude(({ id }, socket) => {
    asked += 1;
    socket.write(encodeError(id, code as 1));
  });
  const keys = edge([server]);
  for (const [wire, ours] of CODES) {
    code = wire;
    await assert.rejects(sign(keys), { name: 'KeylessError', code: ours });
  }
  assert.equal(asked, CODES.length);
});

test('stray answers are ignored and counted', async () => {
  const server = await rude(({ id }, socket) => {
    const duplicate = encodeResult(id, SIGNATURE);
    socket.write(
      Buffer.concat([
        encodeResult(99_999, SIGNATURE),
        encodePong(4_294_967_295, undefined),
        duplicate,
        duplicate,
      ]),
    );
  });
  const keys = edge([server]);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  await until(() => keys.stats().servers[0]!.unknownAnswers === 3);
  assert.equal(keys.stats().servers[0]!.state, 'ready');
});

const GARBAGE: readonly (readonly [string, Buffer])[] = [
  ['an item twice', Buffer.from('0100000800000001110001f0110001f0', 'hex')],
  ['an overrun', Buffer.from('010000040000000112ffff00', 'hex')],
  ['no answer', Buffer.from('010000040000000111000105', 'hex')],
];

for (const [what, bytes] of GARBAGE) {
  test(`${what} from a key server ends its connection, and the other one answers`, async () => {
    const spoiled = new Set<unknown>();
    const bad = await rude((_frame, socket) => {
      spoiled.add(socket);
      socket.write(bytes);
    });
    const good = await rude();
    const keys = edge([bad, good]);
    await until(() => keys.stats().servers.every(({ state }) => state === 'ready'));
    // So many at once that both are asked, whichever seems faster.
    await Promise.all(Array.from({ length: 30 }, () => sign(keys)));
    await until(() => spoiled.size > 0 && keys.stats().servers[0]!.failures === spoiled.size);
    assert.equal(keys.stats().failed, 0);
  });
}

test('no key server: refused at once, and served again as soon as there is one', async () => {
  const port = await lastingPort();
  const keys = edge([`127.0.0.1:${port}`]);
  await assert.rejects(keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  const took = stopwatch();
  await assert.rejects(sign(keys), (error: KeylessError) => {
    return (
      error.code === 'ERR_KEYLESS_NO_KEY_SERVER' &&
      (error.cause as KeylessError).code === 'ERR_KEYLESS_CONNECTION'
    );
  });
  assert.ok(took() < 50);
  const server = await rude(answer, { port });
  await until(() => keys.stats().servers[0]!.state === 'ready');
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  await server.close();
});

test('an operation does not wait for the end of the back-off', async () => {
  const clock = new ManualClock();
  const port = await lastingPort();
  const keys = edge([`127.0.0.1:${port}`], { clock });
  await assert.rejects(keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  const server = await rude(answer, { port });
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_NO_KEY_SERVER' }, 'tried just now');
  clock.oversleep(250);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  await server.close();
});

test('an error that comes when the time is over is a time-out, also where it comes before the alarm', async () => {
  const clock = new ManualClock();
  // As a key server answers what nobody waits for any more.
  const server = await rude(({ id }, socket) => {
    clock.oversleep(200);
    socket.write(encodeError(id, 8));
  });
  const keys = edge([server], { clock });
  await keys.ready();
  const operation = { ...signOperation(KEY_ID), deadline: clock.now() + 200 };
  await assert.rejects(keys.sign(operation), { code: 'ERR_KEYLESS_TIMEOUT' });
  assert.deepEqual(keys.stats().servers[0]!.errors, { ERR_KEYLESS_TIMEOUT: 1 });
});

test('a frozen key server is noticed by ping, and its operations go to the other', async () => {
  const frozen = await rude();
  const good = await rude();
  const keys = edge([frozen, good], { pingTimeoutMs: 100 });
  await until(() => keys.stats().servers.every(({ state }) => state === 'ready'));
  frozen.frozen = true;
  const took = stopwatch();
  await Promise.all(Array.from({ length: 10 }, () => sign(keys)));
  assert.ok(took() < 1000);
  assert.equal(keys.stats().failed, 0);
});

test('an idle connection is kept by pings', async () => {
  const server = await rude();
  const keys = edge([server], { pingIntervalMs: 50, pingTimeoutMs: 40 });
  await keys.ready();
  const { length } = server.chunks;
  await until(() => server.chunks.length >= length + 3);
  assert.equal(keys.stats().servers[0]!.failures, 0);
});

test('a key server of the field: TLS 1.2, no ALPN, greeted by ping', async () => {
  const server = await rude(answer, { profile: 'field' });
  const keys = edge([server]);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  assert.equal(keys.stats().servers[0]!.profile, 'field');
});

async function isNotTrusted(
  options: Partial<KeyServersOptions>,
  server: RudeKeyServer,
  cause: string,
): Promise<void> {
  const keys = edge([server], options);
  await assert.rejects(keys.ready(), (error: KeylessError) => {
    const inner = error.cause as KeylessError;
    assert.equal(error.code, 'ERR_KEYLESS_NO_KEY_SERVER');
    assert.equal(inner.code, 'ERR_KEYLESS_KEY_SERVER_IDENTITY');
    assert.equal((inner.cause as NodeJS.ErrnoException).code, cause);
    return true;
  });
  assert.equal(server.chunks.length, 0, 'not one byte of a request');
  keys.close();
}

test('key servers of another name, of another CA, or expired get no request, and are told apart', async () => {
  const server = await rude();
  await isNotTrusted({ servername: 'other.example' }, server, 'ERR_TLS_CERT_ALTNAME_INVALID');
  const stranger = await makeAuthority('Another authority');
  await isNotTrusted({ ca: stranger.certPem }, server, 'SELF_SIGNED_CERT_IN_CHAIN');
  const expired = await edges.setup.authority.issue({ type: 'p256', usage: 'server', days: -1 });
  const old = await startRudeKeyServer({
    server: expired,
    ca: edges.setup.authority.certPem,
    onRequest: answer,
  });
  edges.closesLast(old);
  await isNotTrusted({}, old, 'CERT_HAS_EXPIRED');
});

test('a key server that does not accept our certificate is not ready', async () => {
  const stranger = await makeAuthority('Another authority');
  const other = await stranger.issue({ type: 'p256', usage: 'client' });
  const server = await rude();
  const keys = edge([server], { cert: other.certPem, key: other.keyPem });
  await assert.rejects(keys.ready(), (error: KeylessError) => {
    const inner = error.cause as KeylessError;
    return inner.code === 'ERR_KEYLESS_CONNECTION' && /accept our certificate/.test(inner.message);
  });
});

test('what is no TLS, or says nothing, is no key server', async () => {
  const plain = net.createServer(
    (socket) => void socket.on('error', () => undefined).end('HTTP/1.1 400\r\n\r\n'),
  );
  const silent = net.createServer((socket) => void socket.on('error', () => undefined).resume());
  for (const server of [plain, silent]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const keys = edge([`127.0.0.1:${(server.address() as AddressInfo).port}`], { connectTimeoutMs: 200 });
    await assert.rejects(keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
    keys.close();
    server.close();
  }
});

test('close() fails what is pending and what comes', async () => {
  const server = await rude(() => undefined);
  const keys = edge([server]);
  await keys.ready();
  const pending = sign(keys);
  const parked = edge(['127.0.0.1:1'])
    .sign(signOperation(KEY_ID))
    .catch(() => undefined);
  keys.close();
  await assert.rejects(pending, { code: 'ERR_KEYLESS_CLOSED' });
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_CLOSED' });
  await assert.rejects(keys.ready(), { code: 'ERR_KEYLESS_CLOSED' });
  await parked;
  await until(() => server.sockets.size === 0);
});
