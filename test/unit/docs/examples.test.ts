/** Each file of examples/, run as its head says: certificates by the script, keys with `keyless-tls serve`. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { comeBack } from '../../helpers/returning-client.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const run = promisify(execFile);
const children = new Set<ChildProcess>();
let certs: string;
let ca: string;
let environment: NodeJS.ProcessEnv;

interface Program {
  readonly port: number;
  /** The lines it prints, as they come; to be read once. */
  readonly lines: AsyncIterator<string>;
}

async function lineLike(lines: AsyncIterator<string>, pattern: RegExp): Promise<RegExpExecArray> {
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
    const found = pattern.exec(line.value);
    if (found !== null) return found;
  }
  throw new Error(`The program ended without a line like ${pattern}`);
}

/** Starts a program, and waits until it says that it listens. */
async function start(
  file: string,
  values: readonly string[] = [],
  env: NodeJS.ProcessEnv = environment,
): Promise<Program> {
  const child = spawn(process.execPath, [join(root, 'dist', file), ...values], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const [, port] = await lineLike(lines, /listening .*\bport[:=] ?(\d+)/);
  return { port: Number(port), lines };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

before(async () => {
  certs = await mkdtemp(join(tmpdir(), 'keyless-tls-examples-'));
  await run('sh', [join(root, 'examples/certificates.sh'), certs]);
  ca = await readFile(join(certs, 'ca.crt'), 'utf8');
  environment = { ...process.env, CERTS: certs, PORT: '0' };
  const path = (name: string) => join(certs, name);
  const identity = ['--cert', path('server.crt'), '--key', path('server.pem'), '--ca', path('ca.crt')];
  const keys = ['--keys', path('keys'), '--listen', '127.0.0.1:0'];
  const tickets = ['--policy', path('policy.json'), '--ticket-secret', path('ticket.secret')];
  const { port } = await start('lib/cli/main.js', ['serve', ...identity, ...keys, ...tickets]);
  environment.KEY_SERVERS = `127.0.0.1:${port}`;
});

after(async () => {
  await Promise.all([...children].map(end));
  await rm(certs, { recursive: true });
});

test('certificates.sh leaves the key of the site where the key server looks, and no key of the authority', async () => {
  const names = (await readdir(certs)).sort();
  assert.deepEqual(
    names,
    'ca.crt edge.crt edge.pem keys policy.json server.crt server.pem site.crt ticket.secret'.split(' '),
  );
  assert.deepEqual(await readdir(join(certs, 'keys')), ['site.key']);
});

test('https-server answers a request', async () => {
  const { port } = await start('examples/https-server.js');
  const request = https.get({
    host: '127.0.0.1',
    port,
    path: '/page',
    servername: 'localhost',
    ca,
    agent: false,
  });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  assert.equal(await text(response), 'You asked for /page; my private key is elsewhere.\n');
});

test('http2-server answers a request and tells of its operation', async () => {
  const { port, lines } = await start('examples/http2-server.js');
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca, servername: 'localhost' });
  const stream = session.request({ ':path': '/' });
  assert.equal(await text(stream), 'HTTP/2.0\n');
  session.close();
  await lineLike(lines, /^operation sign localhost \d+\.\d ms ok$/);
});

test('own-key asks the KMS for a signature, by key id and scheme', async () => {
  const key = await readFile(join(certs, 'keys/site.key'));
  const asked: (string | undefined)[] = [];
  const kms = http.createServer(async (request, response) => {
    asked.push(request.url);
    const message = Buffer.concat(await request.toArray());
    response.end(sign('sha256', message, key));
  });
  await once(kms.listen(0, '127.0.0.1'), 'listening');
  const KMS_URL = `http://127.0.0.1:${(kms.address() as AddressInfo).port}`;
  const { port } = await start('examples/own-key.js', [], { ...environment, KMS_URL });
  const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ca });
  assert.equal(await text(socket), 'signed by a KMS\n');
  kms.close();
  kms.closeAllConnections();
  const { publicKey } = new X509Certificate(await readFile(join(certs, 'site.crt')));
  // A P-256 point is the last 65 bytes of its DER: RFC 5280 §4.2.1.2, method 1.
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
  const keyId = createHash('sha1').update(point).digest('hex');
  assert.deepEqual(asked, [`/${keyId}/ecdsa_secp256r1_sha256`]);
});

test('behind-proxy is asked by the proxy, whose key is a stub', async () => {
  const backend = await start('examples/behind-proxy.js');
  const [path, hosts] = [(name: string) => join(certs, name), join(certs, 'hosts')];
  await mkdir(hosts);
  await copyFile(path('site.crt'), join(hosts, 'site.crt'));
  const made = await run(process.execPath, [join(root, 'dist/lib/cli/main.js'), 'stub', path('site.crt')]);
  await writeFile(join(hosts, 'site.key'), made.stdout);
  const { port } = await start(
    'lib/cli/main.js',
    ['proxy', '--hosts', hosts, '--backend', `http://127.0.0.1:${backend.port}`, '--listen', '127.0.0.1:0'],
    {
      ...environment,
      KEYLESS_TLS_SERVERS: environment.KEY_SERVERS,
      KEYLESS_TLS_CA: path('ca.crt'),
      KEYLESS_TLS_CERT: path('edge.crt'),
      KEYLESS_TLS_KEY: path('edge.pem'),
    },
  );
  const headers = { host: 'localhost' };
  const request = https.get({ host: '127.0.0.1', port, servername: 'localhost', ca, agent: false, headers });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  assert.equal(await text(response), '127.0.0.1 asked for https://localhost/; I know nothing of TLS.\n');
});

test('cluster resumes a session in whichever process it comes to', async () => {
  const { port, lines } = await start('examples/cluster.js', [], { ...environment, WORKERS: '2' });
  await lineLike(lines, /^listening pid: \d+/);
  const visit = {
    port,
    ca,
    version: 'TLSv1.3',
    say: 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
  } as const;
  const first = await comeBack(visit);
  const second = await comeBack({ ...visit, session: first.session });
  assert.deepEqual([first.reused, second.reused], [false, true]);
  const pids = [first, second].map(({ heard }) => /\d+(?=\n$|\n\r)/.exec(heard)?.[0]);
  assert.notEqual(pids[0], pids[1], 'the primary hands out connections in turn');
});

test('handshake goes through its states', async () => {
  const { stdout } = await run(process.execPath, [join(root, 'dist/examples/handshake.js')], {
    env: environment,
  });
  const shape = stdout
    .replace(/\d+ bytes/g, 'n bytes')
    .trimEnd()
    .split('\n');
  assert.deepEqual(shape, [
    'client -> server n bytes, then WANT_SIGN',
    'server waits for ecdsa_secp256r1_sha256 over n bytes',
    'supplied: WANT_WRITE',
    'server -> client n bytes, then DONE',
    'client -> server n bytes, then DONE',
    'server -> client n bytes, then DONE',
    'TLSv1.3 TLS_AES_256_GCM_SHA384 hello',
  ]);
});

test('there is no other example, and each is short', async () => {
  const all = await readdir(join(root, 'examples'), { withFileTypes: true, recursive: true });
  const apps = all.filter(({ name, parentPath }) => parentPath.endsWith('apps') && name.endsWith('.mjs'));
  const files = all
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('apps'))
    .map(({ name }) => name)
    .sort();
  assert.deepEqual(files, [
    'behind-proxy.ts',
    'certificates.sh',
    'cluster.ts',
    'handshake.ts',
    'http2-server.ts',
    'https-server.ts',
    'own-key.ts',
  ]);
  for (const file of [...files, ...apps.map(({ name }) => `apps/${name}`)]) {
    const lines = (await readFile(join(root, 'examples', file), 'utf8')).split('\n').length - 1;
    assert.ok(lines <= 40, `${file} has ${lines} lines`);
  }
});
