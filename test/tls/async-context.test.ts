/** In which asynchronous context the user's handlers run, and where their exceptions go: as natively. */
import assert from 'node:assert/strict';
import { AsyncLocalStorage, executionAsyncId } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, describe, it, test } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { connect, localKey, type PrivateKey } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let issued: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

const storage = new AsyncLocalStorage<string>();

/** What each handler finds in the storage, and whether it has an asynchronous id at all. */
async function stores(side: Side): Promise<unknown> {
  const found: Record<string, unknown> = {};
  const note = (name: string) => {
    found[name] = [storage.getStore() ?? null, executionAsyncId() > 0];
  };
  let ended: () => void = () => undefined;
  const serverEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const server = storage.run('server made', () =>
    side.tls.createServer({ cert: issued.certPem, key: side.key(issued) }),
  );
  const talk = (socket: TLSSocket) => {
    note('secureConnection');
    socket.on('data', () => {
      note('server data');
      socket.end('pong');
    });
    socket.on('close', () => {
      note('server close');
      ended();
    });
    queueMicrotask(() => note('microtask of secureConnection'));
    setImmediate(() => note('immediate of secureConnection'));
  };
  storage.run('listener added', () => server.on('secureConnection', talk));
  const port = await storage.run('listening', () => listen(server));
  const client = storage.run('client made', () =>
    side.tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem }),
  );
  client.on('secureConnect', () => {
    note('secureConnect');
    client.write('ping');
  });
  client.on('data', () => note('client data'));
  await Promise.all([serverEnded, new Promise((resolve) => client.on('close', resolve))]);
  await close(server);
  return found;
}

parity('AsyncLocalStorage in the handlers of servers and clients', stores, 1);

/** What a client's key and the end of its time find in the storage. @param answers whether the key does */
async function clientStores(answers: boolean): Promise<string[]> {
  const found: string[] = [];
  const note = (name: string) => found.push(`${name}: ${storage.getStore()}`);
  const local = localKey(issued.keyPem, { sync: true });
  const key: PrivateKey = {
    timeoutMs: answers ? 60_000 : 50,
    sign: (operation) => {
      note('sign');
      operation.signal.addEventListener('abort', () => note('abort'));
      return new Promise((resolve) => {
        if (answers) setImmediate(() => resolve(local.sign(operation) as Uint8Array));
      });
    },
  };
  const own = { cert: issued.certPem, key: issued.keyPem, maxVersion: 'TLSv1.2' } as const;
  const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: false }, (socket) =>
    socket.end(),
  );
  server.on('tlsClientError', () => undefined);
  const port = await listen(server);
  await storage.run('caller of connect', async () => {
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, cert: issued.certPem, key });
    client.on('secureConnect', () => note('secureConnect')).on('error', () => note('error'));
    await new Promise((resolve) => client.on('close', resolve).resume());
  });
  await close(server);
  return found;
}

test("a client's PrivateKey is called, and told of its time-out, in the context of who called connect()", async () => {
  const of = (...names: string[]) => names.map((name) => `${name}: caller of connect`);
  assert.deepEqual(await clientStores(true), of('sign', 'secureConnect'));
  assert.deepEqual(await clientStores(false), of('sign', 'abort', 'error'));
});

const CRASH = fileURLToPath(new URL('../helpers/crashing-server.js', import.meta.url));

/** What a process says in which something throws. */
async function said(...args: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const [code, signal] = await once(child, 'close');
  return { text, code, signal };
}

describe('an exception of a user', () => {
  const ofKeyExchange = ['secureConnection', 'keylog', 'newSession'].map(
    (where) => `${where} of RSA key exchange`,
  );
  for (const where of [
    'secureConnection',
    'SNICallback',
    'ALPNCallback',
    'keylog',
    'session',
    ...ofKeyExchange,
  ]) {
    it(`in ${where} goes where it goes natively, once`, async () => {
      const native = await said(CRASH, where, 'native');
      assert.match(String((native as { text: string }).text), /thrown on purpose/);
      for (const mode of ['sync', 'delayed']) assert.deepEqual(await said(CRASH, where, mode), native, mode);
    });
  }
});

const FAILING = fileURLToPath(new URL('../helpers/failing-client.js', import.meta.url));

test("what the callback of a client's write throws, when its handshake fails, is uncaught", async () => {
  const native = await said(FAILING, 'native');
  assert.match(
    String((native as { text: string }).text),
    /^write: EPROTO\nuncaughtException: thrown on purpose\n$/,
  );
  for (const mode of ['sync', 'delayed']) assert.deepEqual(await said(FAILING, mode), native, mode);
});
