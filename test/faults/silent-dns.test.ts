/** A DNS that does not answer: it holds no process, and what is asked of it does not pile up. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import dns from 'node:dns';
import { once } from 'node:events';
import net, { type AddressInfo, type LookupFunction } from 'node:net';
import { before, test } from 'node:test';
import { connectKeyServers } from '../../lib/keys/key-servers.ts';
import { makeKeyServers } from '../helpers/key-servers.ts';
import { run } from '../helpers/programs.ts';

const LIB = new URL('../../lib/index.js', import.meta.url).href;

let credentials: string;

before(async () => {
  credentials = JSON.stringify((await makeKeyServers(['p256'])).edgeOptions);
});

/** An app that has nothing else to do from the end of `code` on. It must end by itself. */
const app = (code: string): readonly string[] => [
  '--input-type=module',
  '--eval',
  `import { subscribe } from 'node:diagnostics_channel';
   import dns from 'node:dns';
   import { connectKeyServers } from ${JSON.stringify(LIB)};
   const credentials = ${credentials};
   setTimeout(() => { console.log('still there'); process.exit(1); }, 60_000).unref();
   ${code}`,
];

test('host names: each is looked up once at a time, and the process ends by itself', async () => {
  // As getaddrinfo does, these keep the process alive until they fail: longer than an attempt to connect takes.
  const { stdout, stderr, code } = await run(
    process.execPath,
    app(`
      const silentMs = { 'keys-1.internal': 700, 'keys-2.internal': 1100, 'keys-3.internal': 1300 };
      const seen = { asked: 0, atOnce: 0, most: 0, errors: [] };
      subscribe('keyless-tls:client:connection:closed', ({ error }) => void seen.errors.push(error.message));
      dns.lookup = (hostname, options, callback) => {
        seen.asked += 1;
        seen.atOnce += 1;
        seen.most = Math.max(seen.most, seen.atOnce);
        setTimeout(() => {
          seen.atOnce -= 1;
          callback(Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' }));
        }, silentMs[hostname]);
      };
      const servers = Object.keys(silentMs);
      connectKeyServers({ servers, ...credentials, connectTimeoutMs: 100 });
      process.on('exit', () => console.log(JSON.stringify(seen)));
      setTimeout(() => undefined, 4000);`),
  );
  assert.equal(code, 0, stdout + stderr);
  const { asked, most, errors } = JSON.parse(stdout);
  assert.equal(most, 3);
  assert.ok(asked > 3, 'it is tried again');
  assert.ok(errors.includes('The key server keys-1.internal was not found by its name within 100 ms.'));
});

test('a time-out says that the key server did not answer where a lookup had its address at once', async (t) => {
  const mute = net.createServer((socket) => socket.on('error', () => undefined));
  t.after(() => mute.close());
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const server = `keys-1.internal:${(mute.address() as AddressInfo).port}`;
  const lookup: LookupFunction = (_hostname, { all }, callback) => {
    if (all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
    else callback(null, '127.0.0.1', 4);
  };
  const keys = connectKeyServers({
    servers: [server],
    lookup,
    connectTimeoutMs: 100,
    ...JSON.parse(credentials),
  });
  t.after(() => keys.close());
  await assert.rejects(keys.ready(), ({ cause }: Error) => {
    assert.equal((cause as Error).message, `The key server ${server} did not answer within 100 ms.`);
    return true;
  });
});

test('close(): what waits for its turn to be looked up is not', (t) => {
  const asked: string[] = [];
  const callbacks: ((error: Error) => void)[] = [];
  t.mock.method(dns, 'lookup', (hostname: string, _options: unknown, callback: () => void) => {
    asked.push(hostname);
    callbacks.push(callback);
  });
  const servers = Array.from({ length: 10 }, (_, at) => `keys-${at}.internal`);
  const keys = connectKeyServers({ servers, ...JSON.parse(credentials) });
  assert.ok(asked.length < 10);
  keys.close();
  for (const each of callbacks) each(new Error('getaddrinfo EAI_AGAIN'));
  assert.deepEqual(asked, servers.slice(0, callbacks.length));
  assert.ok(asked.length < 10);
});

test('an SRV record: the question is taken back when its time is over, and the process ends by itself', async () => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  let asked = 0;
  silent.on('message', () => {
    asked += 1;
  });
  await once(silent, 'listening');
  const { stdout, stderr, code } = await run(
    process.execPath,
    app(`
      dns.setServers(['127.0.0.1:${silent.address().port}']);
      connectKeyServers({ srv: '_keyless._tcp.example.org', ...credentials });`),
  );
  silent.close();
  assert.equal(code, 0, stdout + stderr);
  assert.ok(asked > 0);
});

test('close() takes the question for an SRV record back', async () => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  const { stdout, stderr, code } = await run(
    process.execPath,
    app(`
      const { Resolver } = dns.promises;
      const { resolveSrv } = Resolver.prototype;
      Resolver.prototype.resolveSrv = function (name) {
        const asked = Reflect.apply(resolveSrv, this, [name]);
        asked.catch(({ code }) => console.log(code));
        return asked;
      };
      dns.setServers(['127.0.0.1:${silent.address().port}']);
      const keys = connectKeyServers({ srv: '_keyless._tcp.example.org', ...credentials });
      keys.close();`),
  );
  silent.close();
  assert.deepEqual([code, stdout], [0, 'ECANCELLED\n'], stderr);
});
