/** A PrivateKey whose answer was refused may answer again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import { localKey, type PrivateKey } from '../../lib/index.ts';
import type { Operation } from '../../lib/keys/private-key.ts';
import * as keyless from '../../lib/tls.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { until } from '../helpers/edge.ts';
import { collectGarbage } from '../helpers/garbage.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let authority: Authority;
const sites: Record<string, Issued> = {};
const open: { close(): unknown }[] = [];

before(async () => {
  authority = await makeAuthority();
  for (const type of ['rsa', 'p256'] as const) sites[type] = await authority.issue({ type });
});
after(() => {
  for (const each of open) each.close();
});

/** @returns what the client sees, and the codes of the server's errors */
async function shakeHands(
  type: 'rsa' | 'p256',
  key: PrivateKey,
  options: tls.ConnectionOptions = {},
  onSocket: (socket: tls.TLSSocket) => void = () => undefined,
): Promise<{ met: boolean; codes: string[] }> {
  const codes: string[] = [];
  const server = keyless.createServer({ cert: sites[type]!.certPem, key }, (socket) => socket.end('hello'));
  open.push(server);
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => codes.push(String(error.code)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.certPem,
    ...options,
  });
  onSocket(socket);
  let met = false;
  socket.on('data', () => {
    met = true;
  });
  await new Promise<void>((resolve) => socket.on('error', () => undefined).on('close', () => resolve()));
  return { met, codes };
}

const WRONG = { rsa: Buffer.alloc(256, 1), p256: Buffer.alloc(3) };

for (const type of ['rsa', 'p256'] as const) {
  for (const later of [false, true]) {
    test(`${type}: an answer that is refused is asked for again, ${later ? 'later' : 'at once'}, and serves`, async () => {
      const good = localKey(sites[type]!.keyPem);
      const refused: string[] = [];
      const { met, codes } = await shakeHands(type, {
        sign: () => WRONG[type],
        signAgain(operation, error) {
          refused.push(error.code);
          const signature = good.sign(operation);
          return later ? new Promise((resolve) => setTimeout(resolve, 20, signature)) : signature;
        },
      });
      assert.deepEqual([met, codes], [true, []]);
      assert.deepEqual(refused, [type === 'rsa' ? 'ERR_KEYLESS_BAD_SIGNATURE' : 'ERR_KEYLESS_BAD_RESULT']);
    });
  }
}

test('it is asked twice more and then no more, and the error is that of the last answer', async () => {
  let times = 0;
  const { met, codes } = await shakeHands('rsa', {
    sign: () => WRONG.rsa,
    signAgain() {
      times += 1;
      return times === 2 ? Buffer.alloc(1) : WRONG.rsa;
    },
  });
  assert.deepEqual([met, codes, times], [false, ['ERR_KEYLESS_BAD_RESULT'], 2]);
});

const NOTHING: readonly (readonly [string, PrivateKey['signAgain']])[] = [
  ['has no other answer', () => undefined],
  [
    'throws',
    () => {
      throw new Error('no');
    },
  ],
];

for (const [what, signAgain] of NOTHING) {
  test(`who ${what} leaves the first error`, async () => {
    const { met, codes } = await shakeHands('rsa', { sign: () => WRONG.rsa, signAgain });
    assert.deepEqual([met, codes], [false, ['ERR_KEYLESS_BAD_SIGNATURE']]);
  });
}

test('a rejection of the second answer is the error, and a deadline holds for both together', async () => {
  const rejected = await shakeHands('rsa', {
    sign: () => WRONG.rsa,
    signAgain: () => Promise.reject(new Error('no')),
  });
  assert.deepEqual(rejected.codes, ['ERR_KEYLESS_OPERATION_FAILED']);
  const took = stopwatch();
  const slow = await shakeHands('rsa', {
    timeoutMs: 200,
    sign: () => new Promise((resolve) => setTimeout(resolve, 150, WRONG.rsa)),
    signAgain: () => new Promise(() => undefined),
  });
  assert.deepEqual(slow.codes, ['ERR_KEYLESS_TIMEOUT']);
  assert.ok(took() < 1000);
});

function told(key: Partial<PrivateKey>): { readonly key: PrivateKey; readonly refusals: string[] } {
  const refusals: string[] = [];
  const onRefused: PrivateKey['onRefused'] = (operation, refused) =>
    void refusals.push(`${operation.kind} ${refused.code}`);
  return { key: { sign: () => WRONG.rsa, ...key, onRefused }, refusals };
}

test('who cannot answer again, or not any more, is told that its answer was refused, once for each', async () => {
  const [once, thrice] = [told({}), told({ signAgain: () => WRONG.rsa })];
  await shakeHands('rsa', once.key);
  await shakeHands('rsa', thrice.key);
  for (const { refusals } of [once, thrice]) assert.deepEqual(refusals, ['sign ERR_KEYLESS_BAD_SIGNATURE']);
  const asked = told({ signAgain: () => undefined });
  await shakeHands('rsa', asked.key);
  assert.deepEqual(asked.refusals, [], 'who was asked for another answer knows');
});

test('a signature that was not checked, and that the peer refuses, is told of; a right one is not, whatever the peer does', async () => {
  const other = localKey((await authority.issue({ type: 'p256' })).keyPem);
  const wrong = told({ sign: (operation) => other.sign(operation) });
  const { codes } = await shakeHands('p256', wrong.key);
  await until(() => codes.length > 0);
  assert.deepEqual(
    [wrong.refusals, codes],
    [['sign ERR_KEYLESS_BAD_SIGNATURE'], ['ERR_KEYLESS_BAD_SIGNATURE']],
  );
  const own = localKey(sites.p256!.keyPem);
  const right = told({ sign: (operation) => own.sign(operation) });
  const distrusting = await shakeHands('p256', right.key, { ca: [] });
  await until(() => distrusting.codes.length > 0);
  assert.equal(distrusting.met, false);
  assert.deepEqual(right.refusals, []);
});

test('clients that say nothing, and go, are noticed too: one in a tenth of a second', async () => {
  const other = localKey((await authority.issue({ type: 'p256' })).keyPem);
  const own = localKey(sites.p256!.keyPem);
  const [wrong, right] = [other, own].map((key) => told({ sign: (operation) => key.sign(operation) }));
  const startedAt = performance.now();
  for (let times = 0; times < 20; times += 1) {
    // Node's client has a write to fail, and sends no alert.
    const { codes } = await shakeHands('p256', wrong!.key, {}, (socket) => socket.write('hello'));
    await until(() => codes.length > 0);
    assert.deepEqual(codes, ['ECONNRESET']);
  }
  const most = 1 + (performance.now() - startedAt) / 100;
  const { refusals } = wrong!;
  assert.ok(refusals.length > 0 && refusals.length <= most, `${refusals.length} of ${most}`);
  await sleep(100);
  const left = await shakeHands('p256', right!.key, {}, (socket) =>
    socket.on('keylog', () => socket.destroy()),
  );
  await until(() => left.codes.length > 0);
  await turn();
  assert.deepEqual([left.codes, right!.refusals], [['ECONNRESET'], []]);
});

test('once the peer has taken the answer, nothing is kept of the operation', async () => {
  const own = localKey(sites.p256!.keyPem);
  const operations: WeakRef<Operation>[] = [];
  const { key } = told({
    sign(operation) {
      operations.push(new WeakRef(operation));
      return own.sign(operation);
    },
  });
  const server = keyless.createServer({ cert: sites.p256!.certPem, key });
  open.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const taken = once(server, 'secureConnection');
  const { port } = server.address() as AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const [socket] = (await taken) as [tls.TLSSocket];
  await collectGarbage();
  assert.deepEqual([operations.length, operations[0]!.deref()], [1, undefined]);
  assert.equal(socket.destroyed, false);
  client.destroy();
});

test('what it throws when it is told changes nothing', async () => {
  const { codes } = await shakeHands('rsa', {
    sign: () => WRONG.rsa,
    onRefused: () => {
      throw new Error('no');
    },
  });
  assert.deepEqual(codes, ['ERR_KEYLESS_BAD_SIGNATURE']);
});
