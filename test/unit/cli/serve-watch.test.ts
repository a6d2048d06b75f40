/** Files that change while `serve` or an app starts: after they were read, and before anybody watches them. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, mock, test } from 'node:test';
import type { Print } from '../../../lib/cli/event-lines.ts';
import { readCredentials, seeCredentials, watchCredentials } from '../../../lib/cli/serve-credentials.ts';
import { readPolicy, watchPolicy } from '../../../lib/cli/serve-policy.ts';
import type { GrantsOptions } from '../../../lib/server/grants.ts';
import type { KeyServer, KeyServerCredentials } from '../../../lib/server/key-server.ts';
import { readIdentity, seeIdentity, watchIdentity } from '../../../lib/wrap/identity.ts';
import { seeFiles, type WatchedFile, watchedFiles } from '../../../lib/wrap/watched-file.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { until } from '../../helpers/edge.ts';

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
  const read = () => {
    changes += 1;
  };
  watched = watchedFiles(seen, read, assert.fail);
  const looks = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 250));
  writeFileSync(path('policy'), '22');
  await until(() => changes === 1);
  rmSync(path('policy'));
  await until(() => changes === 2);
  put('policy', '333');
  await until(() => changes === 3);
  await looks(3);
  assert.equal(changes, 3);
  watched.close();
  put('policy', '4');
  await looks(3);
  assert.equal(changes, 3);
});

/** Until it is told otherwise; `asked`: for what. */
function refuseReading(): { readonly asked: readonly string[]; allow(): void } {
  const asked: string[] = [];
  const refused = mock.method(fs, 'readFileSync', (file: string) => {
    asked.push(file);
    const error = { code: 'EMFILE', errno: -24, syscall: 'open', path: file };
    throw Object.assign(new Error(`EMFILE: too many open files, open '${file}'`), error);
  });
  const allow = () => {
    refused.mock.restore();
    syncBuiltinESMExports();
  };
  syncBuiltinESMExports();
  return { asked, allow };
}

/** What a watcher has told of, as lines. */
class Lines {
  readonly events: string[] = [];
  #wake: () => void = () => undefined;
  readonly print = (event: string): void => {
    this.events.push(event);
    this.#wake();
  };

  async until(count: number): Promise<string[]> {
    while (this.events.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.events;
  }
}

/** So many looks the system refuses. */
const REFUSED = 3;

async function whileRefused(change: () => void, lines: Lines): Promise<void> {
  const system = refuseReading();
  try {
    change();
    await lines.until(1);
    await until(() => system.asked.length >= REFUSED);
  } finally {
    system.allow();
  }
}

test('a policy that the system does not let be read counts when it does, and is told of once', async () => {
  put('policy', policy([]));
  const seen = seeFiles([path('policy')]);
  const lines = new Lines();
  const grants: GrantsOptions[] = [];
  const fake = { setGrants: (each: GrantsOptions) => grants.push(each) } as unknown as KeyServer;
  watched = watchPolicy(seen, readPolicy(path('policy')), fake, lines.print);
  await whileRefused(() => put('policy', policy(['DNS:edge-1'])), lines);
  assert.deepEqual(await lines.until(2), ['policy-problem', 'policy']);
  await new Promise((resolve) => setTimeout(resolve, 2 * 250));
  assert.deepEqual(
    grants.map(({ revoked }) => revoked),
    [['DNS:edge-1']],
  );
});

test('so do credentials', async () => {
  const files = { cert: path('cert'), key: path('key'), ca: path('ca') };
  const lines = new Lines();
  const fake = { setCredentials: () => undefined } as unknown as KeyServer;
  watched = watchCredentials(files, seeCredentials(files), fake, lines.print);
  await whileRefused(() => put('cert', server.certPem), lines);
  assert.deepEqual(await lines.until(2), ['credentials-problem', 'credentials']);
});

test("so does an edge's identity, with a warning where it takes more than a second", async () => {
  const files = { cert: path('cert'), key: path('key'), ca: path('ca') };
  const lines = new Lines();
  const onWarning = ({ message }: Error) => lines.print(message);
  process.on('warning', onWarning);
  watched = watchIdentity(files, seeIdentity(files), () => lines.print('taken'));
  await whileRefused(() => put('cert', server.certPem), lines);
  const [warning, taken] = await lines.until(2);
  process.off('warning', onWarning);
  assert.match(warning!, /stays what it was\. The file of "cert" cannot be read: EMFILE/);
  assert.equal(taken, 'taken');
});

/** No look is answered, until it is told otherwise. @returns tells it; how many wait */
function hangLooks(): { waiting(): number; answer(): void } {
  const wake: Array<() => void> = [];
  const { stat } = fs.promises;
  const hung = mock.method(fs.promises, 'stat', async (...question: Parameters<typeof stat>) => {
    await new Promise<void>((resolve) => wake.push(resolve));
    return stat(...question);
  });
  const answer = () => {
    hung.mock.restore();
    syncBuiltinESMExports();
    for (const each of wake) each();
  };
  syncBuiltinESMExports();
  return { waiting: () => wake.length, answer };
}

test('of files on a disk that does not answer one look waits, and they count when it does', async () => {
  const files = { cert: path('cert'), key: path('key'), ca: path('ca'), crl: path('cert') };
  const lines = new Lines();
  const fake = { setCredentials: () => undefined } as unknown as KeyServer;
  const seen = seeCredentials(files);
  const disk = hangLooks();
  try {
    watched = watchCredentials(files, seen, fake, lines.print);
    put('cert', server.certPem);
    await until(() => disk.waiting() > 0);
    await new Promise((resolve) => setTimeout(resolve, 3 * 250));
    assert.equal(disk.waiting(), 1);
  } finally {
    disk.answer();
  }
  assert.deepEqual(await lines.until(1), ['credentials']);
});

test('a pipe is read at the start, and holds nobody up when it is to be read again, or has come in the place of a file', async () => {
  const problems = () => {
    const told: unknown[] = [];
    const print = (event: string, { reason }: Record<string, unknown>) => told.push([event, reason]);
    return { told, print: print as Print };
  };
  const reason = `${JSON.stringify(path('policy'))} is a pipe: it is read once, at the start`;
  const expected = [['policy-problem', reason]];
  execFileSync('mkfifo', [path('policy')]);
  const seen = seeFiles([path('policy')]);
  const writer = spawn('sh', ['-c', 'printf %s "$1" > "$0"', path('policy'), policy([])]);
  const first = readPolicy(path('policy'));
  await once(writer, 'exit');
  const { told, print } = problems();
  const pipe = watchPolicy(seen, first, {} as KeyServer, print);
  put('file', policy([]));
  const later = problems();
  watched = watchPolicy(seeFiles([path('file')]), first, {} as KeyServer, later.print);
  execFileSync('mkfifo', [path('file.next')]);
  renameSync(path('file.next'), path('file'));
  await until(() => later.told.length > 0);
  assert.match(String(later.told), /^policy-problem,".*file" is a pipe/);
  assert.deepEqual(told, []);
  pipe.reload();
  assert.deepEqual(told, expected);
  pipe.close();
});
