/** A PrivateKey whose answer was refused may answer again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { localKey, type PrivateKey } from '../../lib/index.ts';
import * as keyless from '../../lib/tls.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';

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
async function shakeHands(type: 'rsa' | 'p256', key: PrivateKey): Promise<{ met: boolean; codes: string[] }> {
  const codes: string[] = [];
  const server = keyless.createServer({ cert: sites[type]!.certPem, key }, (socket) => socket.end('hello'));
  open.push(server);
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => codes.push(String(error.code)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
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
  const startedAt = performance.now();
  const slow = await shakeHands('rsa', {
    timeoutMs: 200,
    sign: () => new Promise((resolve) => setTimeout(resolve, 150, WRONG.rsa)),
    signAgain: () => new Promise(() => undefined),
  });
  assert.deepEqual(slow.codes, ['ERR_KEYLESS_TIMEOUT']);
  assert.ok(performance.now() - startedAt < 1000);
});
