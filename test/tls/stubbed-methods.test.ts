/**
 * The engine's methods on the prototype of Node's handles, beside those of others: of whoever stubs them and puts back what was there
 * before (a library for tests does), and of another copy of this package.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { internals, type TlsHandle } from '../../lib/engine/tls-handle.ts';
import * as ours from '../../lib/index.ts';
import { anotherCopy, type Copy, LINKS } from '../helpers/another-copy.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { until } from '../helpers/edge.ts';

let issued: Issued;
let prototype: TlsHandle;
before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
  const socket = new tls.TLSSocket(undefined as never);
  prototype = Object.getPrototypeOf(internals(socket)._handle) as TlsHandle;
  socket.destroy();
});

/** A client goes while the key has not answered: the key hears of it, and nothing is left. */
async function abort(copy: Copy): Promise<void> {
  const asked: { resolve?: (signal: AbortSignal) => void } = {};
  const operation = new Promise<AbortSignal>((resolve) => {
    asked.resolve = resolve;
  });
  const sign = ({ signal }: ours.SignOperation) => {
    asked.resolve?.(signal);
    return new Promise<Uint8Array>(() => {});
  };
  const server = copy.createServer({ cert: issued.certPem, key: { sign } });
  server.on('tlsClientError', () => {});
  const client: TLSSocket = tls.connect({ port: await listen(server), host: '127.0.0.1' });
  client.on('error', () => {});
  const signal = await operation;
  client.destroy();
  await once(signal, 'abort');
  await until(() => copy.engineStats().paused === 0);
  await close(server);
}

const methods = () => [prototype.destroySSL, prototype.close];

test('methods that somebody stubbed before, and restores, take away nothing of ours for long', async () => {
  const { destroySSL, close } = prototype;
  prototype.destroySSL = function stub(this: TlsHandle) {
    destroySSL.call(this);
  };
  prototype.close = function stub(this: TlsHandle, callback) {
    close.call(this, callback);
  };
  await abort(ours);
  Object.assign(prototype, { destroySSL, close });
  await abort(ours);
  const again = methods();
  await abort(ours);
  assert.deepEqual(methods(), again, 'it stands there once');
});

test('two copies stand there once each', async () => {
  const theirs = await anotherCopy(LINKS['a hard link']!);
  await abort(ours);
  await abort(theirs);
  const both = methods();
  for (const copy of [ours, theirs, ours]) await abort(copy);
  assert.deepEqual(methods(), both);
});
