/** The key is not there: the edge's whole memory is searched for it, and a canary proves that the search finds keys. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { createKeyServer, keyStoreOf, pemKey } from '../../lib/index.ts';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { search, secretsOf } from '../helpers/memory.ts';
import { makePfx } from '../helpers/pfx.ts';

let authority: Authority;
let sites: Issued[];

before(async () => {
  authority = await makeAuthority();
  sites = [await authority.issue({ type: 'rsa' }), await authority.issue({ type: 'p256' })];
});

async function start(
  plan: unknown,
  execArgv: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(new URL('./key-memory.js', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [...execArgv],
    env: { ...process.env, ...env },
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
  env: NodeJS.ProcessEnv = {},
): Promise<Map<string, Set<string>>> {
  const { child, port } = await start({ certs: sites.map(({ certPem }) => certPem), ...plan }, execArgv, env);
  await handshakes(port, kinds);
  const found = new Map(
    sites.map(({ keyPem }, index) => [String(index), search(child.pid as number, secretsOf(keyPem))]),
  );
  child.kill();
  await once(child, 'exit');
  return found;
}

/** With the keys of all sites. */
async function makeKeyServer() {
  const credentials = await authority.issue({ type: 'p256', usage: 'client', cn: 'edge' });
  const own = await authority.issue({ type: 'p256', usage: 'server' });
  const keys = keyStoreOf(sites.map(({ keyPem }) => pemKey(keyPem, 'a test')));
  const server = createKeyServer({ cert: own.certPem, key: own.keyPem, ca: authority.certPem, keys });
  const { port } = await server.listen(0);
  return {
    server,
    keyServer: { port, cert: credentials.certPem, key: credentials.keyPem, ca: authority.certPem },
  };
}

/** The configuration of `register`. */
function environment({ port, ...texts }: Awaited<ReturnType<typeof makeKeyServer>>['keyServer']) {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-'));
  after(() => rmSync(folder, { recursive: true }));
  const env: NodeJS.ProcessEnv = {
    KEYLESS_TLS_SERVERS: `127.0.0.1:${port}`,
    KEYLESS_TLS_SERVERNAME: 'localhost',
  };
  for (const [name, text] of Object.entries(texts)) {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    env[`KEYLESS_TLS_${name.toUpperCase()}`] = path;
  }
  return env;
}

/** The text is the app's own, which read it. */
function numbersIn(found: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  return [...found.values()].map((names) => [...names].filter((name) => /endian/.test(name)));
}

const preload = (name: string) => ['--import', new URL(`../../lib/wrap/${name}.js`, import.meta.url).href];

describe('the memory of an edge', () => {
  it('holds the key when it was given the key: the search works', async () => {
    const [rsa, p256] = (await searchedAfterHandshakes({ keys: sites.map(({ keyPem }) => keyPem) })).values();
    for (const name of ['p little-endian', 'q little-endian', 'd little-endian'])
      assert.ok(rsa?.has(name), name);
    assert.ok((p256?.size ?? 0) > 0, 'the P-256 scalar');
  });

  it('holds nothing of the key when a key server has it', async () => {
    const { server, keyServer } = await makeKeyServer();
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
      const plan = {
        certs: certified.map((index) => sites[index]!.certPem),
        keys: sites.map(({ keyPem }) => keyPem),
      };
      const found = await searchedAfterHandshakes(plan, preload('isolate'), kinds);
      assert.deepEqual(numbersIn(found), [[], []]);
    });
  }

  for (const what of ['PEM', 'pfx']) {
    it(`holds no number of the key of a ${what} beside a PrivateKey under isolate`, async () => {
      const own = what === 'PEM' ? { keys: [sites[1]!.keyPem] } : { pfx: makePfx(sites[1]!, 'secret') };
      const certs = sites.slice(0, what === 'PEM' ? 2 : 1).map(({ certPem }) => certPem);
      const found = await searchedAfterHandshakes({ certs, beside: true, ...own }, preload('isolate'), [EC]);
      assert.deepEqual(numbersIn(found), [[], []]);
    });
  }

  for (const order of [
    ['register', 'isolate'],
    ['isolate', 'register'],
  ] as const) {
    it(`holds no number of a key beside a stub under ${order.join(' and ')}`, async () => {
      const { server, keyServer } = await makeKeyServer();
      const keys = [makeStub(new X509Certificate(sites[0]!.certPem)), sites[1]!.keyPem];
      const env = environment(keyServer);
      const found = await searchedAfterHandshakes({ keys }, order.flatMap(preload), [EC, RSA], env);
      assert.deepEqual(numbersIn(found), [[], []]);
      assert.ok(server.stats().answered >= 10);
      await server.close();
    });
  }
});
