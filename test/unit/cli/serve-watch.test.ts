/** Files that change while `serve` or an app starts: after they were read, and before anybody watches them. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { readCredentials, seeCredentials, watchCredentials } from '../../../lib/cli/serve-credentials.ts';
import { readPolicy, watchPolicy } from '../../../lib/cli/serve-policy.ts';
import type { GrantsOptions } from '../../../lib/server/grants.ts';
import type { KeyServer, KeyServerCredentials } from '../../../lib/server/key-server.ts';
import { readIdentity, seeIdentity, watchIdentity } from '../../../lib/wrap/identity.ts';
import { seeFiles, type WatchedFile, watchedFiles } from '../../../lib/wrap/watched-file.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';

let authority: Authority;
let server: Issued;
let folder: string;
let watched: Pick<WatchedFile, 'close'> | undefined;
const path = (name: string) => join(folder, name);

before(async () => {
  authority = await makeAuthority();
  server = await authority.issue({ type: 'p256' });
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-watch-'));
  put('cert', server.certPem);
  put('key', server.keyPem);
  put('ca', authority.certPem);
});
afterEach(() => watched?.close());
afterEach(() => rmSync(folder, { recursive: true }));

function put(name: string, text: string): void {
  writeFileSync(path(`${name}.next`), text, { mode: 0o600 });
  renameSync(path(`${name}.next`), path(name));
}

const policy = (revoked: readonly string[]) => JSON.stringify({ version: 1, clients: [], revoked });
// What is watched keeps no process alive.
const alive = setInterval(() => undefined, 1000);
after(() => clearInterval(alive));

const quiet = () => undefined;

test('a policy that revokes a client while the key server starts does so when it has started', async () => {
  put('policy', policy([]));
  const seen = seeFiles([path('policy')]);
  const first = readPolicy(path('policy'));
  put('policy', policy(['DNS:edge-1']));
  const grants = await new Promise<GrantsOptions | undefined>((resolve) => {
    watched = watchPolicy(seen, first, { setGrants: resolve } as unknown as KeyServer, quiet);
  });
  assert.deepEqual(grants?.revoked, ['DNS:edge-1']);
});

test('so does a revocation list', async () => {
  const files = { cert: path('cert'), key: path('key'), ca: path('ca'), crl: path('crl') };
  const calm = await authority.revoke([]);
  put('crl', calm);
  const seen = seeCredentials(files);
  readCredentials(files);
  const crl = await authority.revoke([server]);
  put('crl', crl);
  const credentials = await new Promise<KeyServerCredentials>((resolve) => {
    const fake = { setCredentials: resolve } as unknown as KeyServer;
    watched = watchCredentials(files, seen, fake, quiet);
  });
  assert.equal(credentials.crl, crl);
});

test('an identity that is renewed before the first stub is the one that counts', async () => {
  const files = { cert: path('cert'), key: path('key'), ca: path('ca') };
  const seen = seeIdentity(files);
  readIdentity(files);
  const renewed = await authority.issueFor(server.keyPem);
  put('cert', renewed.certPem);
  const identity = await new Promise<{ readonly cert: unknown }>((resolve) => {
    watched = watchIdentity(files, seen, resolve);
  });
  assert.equal(String(identity.cert), renewed.certPem);
});

test('each change is told of once: another text, a file that goes and one that comes', async () => {
  put('policy', '1');
  let changes = 0;
  const seen = seeFiles([path('policy'), path('ca')]);
  watched = watchedFiles(seen, () => {
    changes += 1;
  });
  const looks = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 250));
  const until = async (count: number) => {
    while (changes < count) await looks(1);
  };
  writeFileSync(path('policy'), '22');
  await until(1);
  rmSync(path('policy'));
  await until(2);
  put('policy', '333');
  await until(3);
  await looks(3);
  assert.equal(changes, 3);
  watched.close();
  put('policy', '4');
  await looks(3);
  assert.equal(changes, 3);
});
