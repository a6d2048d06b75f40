/** From nothing to a key server that signs for an edge, by the commands that init prints. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { checkClock } from '../../lib/cli/check-parts.ts';
import { sitesFrom } from '../../lib/cli/check-sites.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { MAIN, ServeProcess } from '../helpers/serve-process.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let folder: string;
let sites: Authority;
let rsa: Issued;
let p256: Issued;
let serve: ServeProcess;
let port: number;

const at = (name: string) => join(folder, 'pki', name);
const ofEdge = (name: string) =>
  ['cert', 'key']
    .flatMap((what) => [`--${what}`, at(`edges/${name}/edge.${what === 'cert' ? 'crt' : 'key'}`)])
    .concat('--ca', at(`edges/${name}/ca.crt`));

/** Not spawnSync: the key server's output must be read meanwhile. */
async function cli(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const [status] = (await once(child, 'close')) as [number];
  return { status, ...output };
}

function check(...more: string[]) {
  return cli('check', ...ofEdge('e1'), '--timeout', '2000', ...more);
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-init-'));
  sites = await makeAuthority();
  [rsa, p256] = await Promise.all([sites.issue({ type: 'rsa' }), sites.issue({ type: 'p256' })]);
  writeFileSync(join(folder, 'rsa.crt'), rsa.certPem);
  writeFileSync(join(folder, 'p256.crt'), p256.certPem);
  const made = spawnSync(process.execPath, [MAIN, 'init', at(''), '--edge', 'e1', '--server', 'localhost'], {
    encoding: 'utf8',
  });
  assert.deepEqual([made.status, made.stderr], [0, '']);
  writeFileSync(at('server/keys/rsa.key'), rsa.keyPem, { mode: 0o600 });
  const server = [
    '--cert',
    at('server/server.crt'),
    '--key',
    at('server/server.pem'),
    '--ca',
    at('server/ca.crt'),
  ];
  serve = new ServeProcess([
    ...server,
    '--keys',
    at('server/keys'),
    '--policy',
    at('server/policy.json'),
    '--listen',
    '127.0.0.1:0',
  ]);
  port = await serve.port();
});
after(async () => {
  serve.child.kill('SIGTERM');
  assert.equal(await serve.ended, 0);
  rmSync(folder, { recursive: true, force: true });
});

test('every file of init is for its owner only, and an edge gets no key but its own', () => {
  const files = readdirSync(at(''), { recursive: true, withFileTypes: true });
  for (const file of files) {
    const { mode } = statSync(join(file.parentPath, file.name));
    assert.equal(mode & 0o077, 0, file.name);
  }
  assert.deepEqual(readdirSync(at('edges/e1')).sort(), ['ca.crt', 'edge.crt', 'edge.key']);
});

test('check finds all well with a key that is there, and says which is not', async () => {
  const well = await check('--server', `localhost:${port}`, '--site', join(folder, 'rsa.crt'));
  assert.deepEqual([well.status, well.stderr], [0, ''], well.stdout);
  assert.match(
    well.stdout,
    /signs for .*rsa\.crt: TLS 1\.3 with rsa_pss_rsae_sha256 in [\d.]+ ms, TLS 1\.2 with /,
  );
  assert.match(
    well.stdout,
    /^ok {4}localhost:\d+: its clock: [0-2]\.\d s (ahead of|behind) this machine's$/m,
  );
  const notThere = await check('--server', `localhost:${port}`, '--site', join(folder, 'p256.crt'), '--json');
  assert.equal(notThere.status, 1);
  const findings = notThere.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { ok: boolean; code?: string });
  assert.deepEqual(
    findings.filter(({ ok }) => !ok).map(({ code }) => code),
    ['ERR_KEYLESS_KEY_NOT_FOUND'],
  );
});

test('check says which side refused whom', async () => {
  const nobody = await check('--server', '127.0.0.1:1');
  assert.equal(nobody.status, 1);
  assert.match(nobody.stdout, /FAIL {2}127\.0\.0\.1:1 answers: .*ECONNREFUSED/);
  const otherName = await check('--server', `127.0.0.1:${port}`);
  assert.match(otherName.stdout, /The certificate of the key server 127\.0\.0\.1:\d+ was not accepted/);
  const stranger = await makeAuthority();
  const edge = await stranger.issue({ type: 'p256', usage: 'client' });
  writeFileSync(join(folder, 'stranger.crt'), edge.certPem);
  writeFileSync(join(folder, 'stranger.key'), edge.keyPem);
  const files = [
    '--cert',
    join(folder, 'stranger.crt'),
    '--key',
    join(folder, 'stranger.key'),
    '--ca',
    at('server/ca.crt'),
  ];
  const refused = await cli('check', ...files, '--timeout', '2000', '--server', `localhost:${port}`);
  assert.equal(refused.status, 1);
  assert.match(
    refused.stdout,
    /The key server refused this side: .* issued by "CN=Test authority", which is not in --ca/,
  );
  const event = await serve.event('refused', ({ reason }) => reason === 'certificate');
  assert.match(String(event.why), /UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
});

test('check takes a directory of certificates: each key signs, and what holds none is told of', async () => {
  const all = await check('--server', `localhost:${port}`, '--site', folder);
  assert.equal(all.status, 1);
  assert.match(all.stdout, /^ok .* signs for .*rsa\.crt: /m);
  assert.match(all.stdout, /^FAIL .* signs for .*p256\.crt: .*it has no such key/m);
  const none = await check('--server', `localhost:${port}`, '--site', at('server/keys'));
  assert.deepEqual([none.status, /holds no certificate/.test(none.stderr)], [2, true]);
});

test('check takes the directory that certbot makes: the chain is no site', async () => {
  const live = join(folder, 'live');
  mkdirSync(live);
  for (const [name, ...parts] of [
    ['cert.pem', rsa.certPem],
    ['chain.pem', sites.certPem],
    ['fullchain.pem', rsa.certPem, sites.certPem],
    ['privkey.pem', rsa.keyPem],
  ] as const)
    writeFileSync(join(live, name), parts.join(''));
  const { status, stdout, stderr } = await check('--server', `localhost:${port}`, '--site', live);
  assert.deepEqual([status, stderr], [0, ''], stdout);
  assert.deepEqual(stdout.match(/(?<=signs for .*)\w+\.pem(?=: )/g), ['cert.pem', 'fullchain.pem']);
  assert.match(stdout, /^ok {4}.*\/chain\.pem: the authority of .*\/cert\.pem, and no site$/m);
});

test('check tells of what it cannot read in a directory, and tries the rest; a folder is no certificate', async () => {
  const odd = join(folder, 'odd');
  mkdirSync(join(odd, 'folder.pem'), { recursive: true });
  symlinkSync('nowhere', join(odd, 'gone.crt'));
  writeFileSync(join(odd, 'half.crt'), rsa.certPem.slice(0, 300));
  writeFileSync(join(odd, 'empty.crt'), '');
  writeFileSync(join(odd, 'binary.crt'), new X509Certificate(rsa.certPem).raw);
  writeFileSync(join(odd, 'site.crt'), rsa.certPem);
  for (const form of ['TRUSTED', 'X509'])
    writeFileSync(join(odd, `${form}.pem`), rsa.certPem.replaceAll('CERTIFICATE', `${form} CERTIFICATE`));
  const { status, stdout, stderr } = await check('--server', `localhost:${port}`, '--site', odd);
  assert.deepEqual([status, stderr], [1, ''], stdout);
  assert.match(stdout, /^FAIL {2}.*gone\.crt: ENOENT.*its key was not tried\.$/m);
  assert.match(
    stdout,
    /^FAIL {2}.*half\.crt: The file has a block in PEM that is not whole: cut short, or damaged\. If it/m,
  );
  assert.match(stdout, /^FAIL {2}.*empty\.crt: it holds no certificate\. If it/m);
  assert.match(stdout, /^ok {4}.* signs for .*binary\.crt: TLS 1\.3/m);
  for (const name of ['site.crt', 'TRUSTED.pem', 'X509.pem'])
    assert.match(stdout, new RegExp(`^ok {4}.* signs for .*${name}: TLS 1\\.3`, 'm'));
  assert.equal(stdout.match(/^FAIL/gm)?.length, 3);
});

test('a certificate that has signed itself only is a site, though openssl makes it CA:TRUE, and also when it was renewed', async () => {
  const own = join(folder, 'own');
  mkdirSync(own);
  const key = join(own, 'site.key');
  const more = ['-subj', '/CN=own', '-days', '2'];
  writeFileSync(key, p256.keyPem);
  for (const name of ['old.crt', 'new.crt']) {
    const made = spawnSync('openssl', ['req', '-x509', '-key', key, '-out', join(own, name), ...more]);
    assert.equal(made.status, 0, String(made.stderr));
  }
  const { sites: found } = sitesFrom([own]);
  assert.deepEqual(
    [...found.values()].map(({ ca }) => ca),
    [true, true],
  );
});

test('a clock that is wrong is told of, with both sides named', () => {
  assert.match(checkClock(undefined), /does not say/);
  assert.match(checkClock(-29_000), /29\.0 s behind/);
  assert.throws(() => checkClock(31_000), /31\.0 s ahead of this machine's .* Set the clock/);
  assert.throws(() => checkClock(-3_600_000), /3600\.0 s behind this machine's/);
});

test('check compares the clocks of a key server that is an hour ahead or behind, and fails', async (t) => {
  const options = [
    '--cert',
    at('server/server.crt'),
    '--key',
    at('server/server.pem'),
    '--ca',
    at('server/ca.crt'),
  ];
  for (const [shiftMs, where] of [
    [3_600_000, 'ahead of'],
    [-20_000, undefined],
    [-40_000, 'behind'],
  ] as const) {
    const shifted = `const { now } = Date; Date.now = () => now() + ${shiftMs};`;
    const env = {
      ...process.env,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shifted)}`,
    };
    const other = new ServeProcess(
      [...options, '--keys', at('server/keys'), '--listen', '127.0.0.1:0'],
      'serve',
      env,
    );
    t.after(() => other.child.kill('SIGKILL'));
    const { status, stdout } = await check('--server', `localhost:${await other.port()}`);
    const seconds = Math.abs(shiftMs) / 1000;
    const said = new RegExp(
      `^FAIL {2}localhost:\\d+: its clock: it is (\\d+)\\.\\d s ${where} this machine's .*Set the clock`,
      'm',
    );
    const off = Number(said.exec(stdout)?.[1] ?? Number.NaN);
    assert.equal(status, where === undefined ? 0 : 1, stdout);
    if (where !== undefined) assert.ok(Math.abs(off - seconds) < 5, stdout);
    other.child.kill();
  }
});

test('check says what is wrong with the certificate itself', async () => {
  const files = [
    '--cert',
    at('server/server.crt'),
    '--key',
    at('server/server.pem'),
    '--ca',
    at('server/ca.crt'),
  ];
  const server = await cli('check', ...files, '--timeout', '500', '--server', '127.0.0.1:1');
  assert.match(server.stdout, /FAIL {2}the edge's certificate is for clients/);
  const mixed = await cli(
    'check',
    '--cert',
    at('server/server.crt'),
    '--key',
    at('edges/e1/edge.key'),
    '--ca',
    at('server/ca.crt'),
    '--server',
    'x',
  );
  assert.deepEqual([mixed.status, /not that of the certificate/.test(mixed.stderr)], [2, true]);
});

test('init again adds an edge and leaves everything else; --renew replaces what it names', async () => {
  const before = readFileSync(at('edges/e1/edge.crt'), 'utf8');
  const authority = readFileSync(at('ca/ca.crt'), 'utf8');
  assert.equal((await cli('init', at(''), '--edge', 'e2')).status, 0);
  assert.equal(readFileSync(at('edges/e1/edge.crt'), 'utf8'), before);
  const policy = JSON.parse(readFileSync(at('server/policy.json'), 'utf8')) as {
    clients: { name: string }[];
  };
  assert.deepEqual(
    policy.clients.map(({ name }) => name),
    ['e1', 'e2'],
  );
  const server = readFileSync(at('server/server.crt'), 'utf8');
  assert.equal((await cli('init', at(''), '--edge', 'e1', '--renew', '--days', '7')).status, 0);
  assert.equal(readFileSync(at('server/server.crt'), 'utf8'), server);
  const renewed = new X509Certificate(readFileSync(at('edges/e1/edge.crt')));
  assert.notEqual(renewed.toString(), before);
  assert.ok(renewed.verify(new X509Certificate(authority).publicKey));
  assert.equal(readFileSync(at('ca/ca.crt'), 'utf8'), authority);
});

test('--renew-due renews what ends soon, with the names it has, and a second time nothing', async () => {
  const own = join(folder, 'due');
  const file = (name: string) => readFileSync(join(own, name), 'utf8');
  const made = ['--server', 'keys.internal', '--server', '10.0.0.7', '--edge', 'short', '--days', '2'];
  assert.equal((await cli('init', own, ...made)).status, 0);
  assert.equal((await cli('init', own, '--edge', 'long', '--days', '90')).status, 0);
  const [long, short, policy] = [
    file('edges/long/edge.crt'),
    file('edges/short/edge.crt'),
    file('server/policy.json'),
  ];
  const renewed = await cli('init', own, '--renew-due', '10');
  assert.deepEqual([renewed.status, renewed.stderr], [0, '']);
  const server = new X509Certificate(file('server/server.crt'));
  assert.equal(server.subjectAltName, 'DNS:keys.internal, IP Address:10.0.0.7');
  assert.ok(Date.parse(server.validTo) - Date.now() > 29 * 86_400_000);
  assert.ok(server.checkPrivateKey(createPrivateKey(file('server/server.pem'))));
  const edge = new X509Certificate(file('edges/short/edge.crt'));
  assert.notEqual(edge.toString(), short);
  assert.equal(edge.subjectAltName, 'DNS:short');
  assert.ok(edge.verify(new X509Certificate(file('ca/ca.crt')).publicKey));
  assert.deepEqual([file('edges/long/edge.crt'), file('server/policy.json')], [long, policy]);
  const again = await cli('init', own, '--renew-due', '10');
  assert.deepEqual(again, { status: 0, stdout: '', stderr: '' });
});

for (const [what, ...args] of [
  ['a renewal of what is due, beside names', '/tmp/x', '--renew-due', '3', '--edge', 'e1'],
  ['a renewal of what is always due', '/tmp/x', '--renew-due', '30'],
  ['a renewal where nothing was made', '/tmp/no-such-pki', '--renew-due', '3'],
  ['no directory', '--edge', 'e1'],
  ['a name that is none', '/tmp/x', '--edge', '../e1'],
  ['a renewal of nothing', '/tmp/x', '--renew'],
  ['days that are none', '/tmp/x', '--days', '0'],
] as const) {
  test(`init refuses ${what}`, async () => {
    const { status, stderr } = await cli('init', ...args);
    assert.equal(status, 2);
    assert.match(stderr, /init --help/);
  });
}

test('check --watch ends when nobody reads any more', async (t) => {
  const child = spawn(
    process.execPath,
    [MAIN, 'check', ...ofEdge('e1'), '--server', `localhost:${port}`, '--watch', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) if (/"event":"server"/.test(line)) break;
  child.stdout.destroy();
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('check --watch tells state, latency and the age of the lease once a second, until it is ended', async (t) => {
  const server = ['--cert', at('server/server.crt'), '--key', at('server/server.pem')];
  const secret = ['--ticket-secret', at('server/ticket.secret'), '--policy', at('server/policy.json')];
  const more = ['--ca', at('server/ca.crt'), '--keys', at('server/keys'), '--listen', '127.0.0.1:0'];
  const leasing = new ServeProcess([...server, ...secret, ...more]);
  t.after(() => leasing.child.kill());
  const edge = ofEdge('e1');
  const target = ['--server', `localhost:${await leasing.port()}`, '--site', join(folder, 'rsa.crt')];
  const child = spawn(process.execPath, [MAIN, 'check', ...edge, ...target, '--watch', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const told: Record<string, unknown>[] = [];
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  for (;;) {
    told.push(JSON.parse((await output.next()).value as string) as Record<string, unknown>);
    const lease = told.findLast(({ event }) => event === 'lease');
    const figures = told.findLast(({ event }) => event === 'server');
    if (lease?.state === 'held' && Number(lease.age) >= 1 && figures?.p50 !== undefined) break;
  }
  const figures = told.findLast(({ event }) => event === 'server')!;
  assert.deepEqual([figures.state, figures.breaker, figures.errors], ['ready', 'closed', 0]);
  assert.ok([figures.answered, figures.connections, figures.p50, figures.p99].every(Number.isFinite));
  // A key server that stands still answers no signature for 5 s: it is told of nevertheless, and the end does not wait.
  leasing.child.kill('SIGSTOP');
  const took = stopwatch();
  for (let lines = 0; lines < 3; ) {
    const { value } = (await output.next()) as { value: string };
    if ((JSON.parse(value) as { event: string }).event === 'server') lines += 1;
  }
  const ended = once(child, 'exit');
  child.stdout.resume();
  child.kill('SIGINT');
  assert.deepEqual(await ended, [0, null]);
  const ms = took();
  leasing.child.kill('SIGCONT');
  assert.ok(ms < 4500, `${ms} ms`);
});
