/** A connection that goes while its operation is pending: nothing of it is called any more, and nothing told. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { before, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { internals } from '../../lib/engine/tls-handle.ts';
import { createSecureContext } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { run } from '../helpers/programs.ts';

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});

test('a connection that has gone is not read from any more, when those that waited with it are', async () => {
  let asked = 0;
  let onAsked: () => void = () => undefined;
  const sign = () => {
    asked += 1;
    if (asked === 2) onAsked();
    return new Promise<Uint8Array>(() => undefined);
  };
  const bothAsked = new Promise<void>((resolve) => (onAsked = resolve));
  const secureContext = createSecureContext({ cert: issued.certPem, key: { sign } });
  const read: TLSSocket[] = [];
  const sockets: TLSSocket[] = [];
  const onBoth: { resolve: () => void } = { resolve: () => undefined };
  const server = net.createServer((raw) => {
    const socket = new tls.TLSSocket(raw, { isServer: true, secureContext });
    sockets.push(socket.on('error', () => undefined));
    const handle = internals(socket)._handle!;
    const { readStart } = handle;
    handle.readStart = () => {
      read.push(socket);
      onBoth.resolve();
      readStart.call(handle);
    };
  });
  const port = await listen(server as tls.Server);
  const clients = [1, 2].map(() => tls.connect({ port, host: '127.0.0.1' }).on('error', () => undefined));
  await bothAsked;
  read.length = 0;
  const readOn = new Promise<void>((resolve) => (onBoth.resolve = resolve));
  const [gone, stays] = sockets as [TLSSocket, TLSSocket];
  gone.destroy();
  await readOn;
  await new Promise(setImmediate);
  assert.deepEqual(
    read.map((socket) => socket === stays),
    [true],
  );
  for (const each of [stays, ...clients]) each.destroy();
  await close(server as tls.Server);
});

const TRACED = fileURLToPath(new URL('../helpers/traced-app.js', import.meta.url));

test('what Node traces of a connection ends when it is destroyed', async () => {
  // The trace is many small writes, which a pipe of Node's has no room for, and the shell's waits with.
  const piped = ['-c', '"$0" "$1" 2>&1 | cat', process.execPath, TRACED];
  const { stdout } = await run('sh', piped);
  const [before = '', after] = stdout.split('destroyed\n');
  assert.match(before, /ClientHello/);
  assert.equal(after, '');
});
