/** The life of one operation, without a handshake. */
import assert from 'node:assert/strict';
import { AsyncResource } from 'node:async_hooks';
import { test } from 'node:test';
import type { RawOperation } from '../../../lib/engine/addon.ts';
import type { KeyEntry } from '../../../lib/engine/key-entry.ts';
import { PendingOperation, type ScopedOrigin } from '../../../lib/engine/operation.ts';
import type { KeylessError, PrivateKey, SignOperation } from '../../../lib/index.ts';

const RSA_PSS_SHA256 = 0x0804;
const raw = { scheme: RSA_PSS_SHA256, input: Buffer.alloc(32), clientVersion: 0x0303, name: undefined };
const origin: ScopedOrigin = {
  role: 'server',
  peerAddress: undefined,
  localAddress: undefined,
  handshakeDeadline: Number.POSITIVE_INFINITY,
  scope: new AsyncResource('test'),
};

function pending(key: PrivateKey): PendingOperation {
  const entry = { key, timeoutMs: 60_000, keyId: Buffer.alloc(32), certificate: Buffer.alloc(0) };
  return new PendingOperation(
    raw as never as RawOperation,
    entry as never as KeyEntry,
    origin,
    () => undefined,
  );
}

test('its time is over and its connection goes in the same turn: the signal says the first, also to whoever reads it later', () => {
  const asked: SignOperation[] = [];
  const operation = pending({
    sign(given) {
      asked.push(given);
      return new Promise(() => undefined);
    },
  });
  operation.start();
  operation.timeOut();
  operation.cancel();
  const { aborted, reason } = asked[0]!.signal;
  assert.deepEqual([aborted, (reason as KeylessError).code], [true, 'ERR_KEYLESS_TIMEOUT']);
});
