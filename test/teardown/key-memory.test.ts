/** The key is not there: the edge's whole memory is searched for it, and a canary proves that the search finds keys. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { createKeyServer, keyStoreOf, pemKey } from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { search } from '../helpers/memory.ts';

let authority: Authority;
let sites: Issued[];

before(async () => {
  authority = await makeAuthority();
  sites = [await authority.issue({ type: 'rsa' }), await authority.issue({ type: 'p256' })];
});

/** The secret numbers of a key, in both byte orders: OpenSSL keeps them in words of the machine's. */
function secrets(keyPem: string): Map<string, Buffer> {
  const jwk = createPrivateKey(keyPem).export({ format: 'jwk' }) as Record<string, unknown>;
  const found = new Map<string, Buffer>();
  for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
    const value = jwk[name];
    if (typeof value !== 'string') continue;
    const big = Buffer.from(value, 'base64url');
    // The ends are as telling as the whole, and found even where a copy is cut.
    found.set(`${name} big-endian`, big.subarray(0, 24));
    found.set(`${name} little-endian`, Buffer.from(big).reverse().subarray(0, 24));
    found.set(`${name} text`, Buffer.from(value.slice(0, 32)));
  }
  const body = keyPem.split('\n').slice(2, 3).join('');
  found.set('PEM', Buffer.from(body));
  return found;
}

async function start(
  plan: unknown,
  execArgv: readonly string[],
): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(new URL('./key-memory.js', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [...execArgv],
  });
  child.send(plan as object);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port };
}

const EC = 'ECDSA+SHA256';
const RSA = 'RSA-PSS+SHA256:RSA+SHA256';

async function handshakes(port: number, kinds: readonly string[]): Promise<void> {
  for (let round = 0; round < 10; round += 1) {
    for (const sigalgs of kinds) {
      const maxVersion = round % 2 === 0 ? 'TLSv1.3' : 'TLSv1.2';
      const client = connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
        sigalgs,
        maxVersion,
      });
      client.resume();
      await once(client, 'close');
    }
  }
}

async function searchedAfterHandshakes(
  plan: object,
  execArgv: readonly string[] = [],
  kinds: readonly string[] = [EC, RSA],
): Promise<Map<string, Set<string>>> {
  const { child, port } = await start({ certs: sites.map(({ certPem }) => certPem), ...plan }, execArgv);
  await handshakes(port, kinds);
  const found = new Map(
    sites.map(({ keyPem }, index) => [String(index), search(child.pid as number, secrets(keyPem))]),
  );
  child.kill();
  await once(child, 'exit');
  return found;
}

describe('the memory of an edge', () => {
  it('holds the key when it was given the key: the search works', async () => {
    const [rsa, p256] = (await searchedAfterHandshakes({ keys: sites.map(({ keyPem }) => keyPem) })).values();
    for (const name of ['p little-endian', 'q little-endian', 'd little-endian'])
      assert.ok(rsa?.has(name), name);
    assert.ok((p256?.size ?? 0) > 0, 'the P-256 scalar');
  });

  it('holds nothing of the key when a key server has it', async () => {
    const credentials = await authority.issue({ type: 'p256', usage: 'client', cn: 'edge' });
    const own = await authority.issue({ type: 'p256', usage: 'server' });
    const keys = keyStoreOf(sites.map(({ keyPem }) => pemKey(keyPem, 'a test')));
    const server = createKeyServer({ cert: own.certPem, key: own.keyPem, ca: authority.certPem, keys });
    const { port } = await server.listen(0);
    const keyServer = { port, cert: credentials.certPem, key: credentials.keyPem, ca: authority.certPem };
    const found = await searchedAfterHandshakes({ keyServer });
    assert.deepEqual(
      [...found.values()].map((names) => [...names]),
      [[], []],
    );
    assert.ok(server.stats().answered >= 20);
    await server.close();
  });

  for (const [what, certified, kinds] of [
    ['the key', [0, 1], [EC, RSA]],
    ['the key, nor of one without a certificate', [1], [EC]],
  ] as const) {
    it(`holds no number of ${what} under isolate, though the app was given its PEM`, async () => {
      const isolate = new URL('../../lib/wrap/isolate.js', import.meta.url).href;
      const plan = {
        certs: certified.map((index) => sites[index]!.certPem),
        keys: sites.map(({ keyPem }) => keyPem),
      };
      const found = await searchedAfterHandshakes(plan, ['--import', isolate], kinds);
      // The text is the app's own, which read it.
      const numbers = [...found.values()].map((names) => [...names].filter((name) => /endian/.test(name)));
      assert.deepEqual(numbers, [[], []]);
    });
  }
});
