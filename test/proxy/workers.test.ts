/** `keyless-tls proxy --workers`: processes that share a port, ticket keys and a page of metrics, and come and go. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { childrenOf } from '../helpers/programs.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

const WORKERS = 2;

let folder: HostsFolder;
let backend: Server;
/** Answers when it is told to. */
const slow = createServer();
let slowUrl: string;
let args: string[];
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  backend = createServer((_, response) => response.end('hello'));
  const url = `http://127.0.0.1:${await portOf(backend)}`;
  slowUrl = `http://127.0.0.1:${await portOf(slow)}`;
  args = ['--backend', url, '--workers', String(WORKERS), '--metrics', '0', '--max-connections', '50'];
});
after(() => {
  backend.close();
  slow.closeAllConnections();
  slow.close();
  folder.remove();
});

function count(proxy: ProxyProcess, name: string): number {
  return proxy.events.filter(({ event }) => event === name).length;
}

/** Resolves when so many workers have begun to listen. */
async function listening(proxy: ProxyProcess, workers: number): Promise<void> {
  await proxy.event('listening', () => count(proxy, 'listening') >= workers);
}

interface Visit {
  readonly resumed: boolean;
  readonly session: Buffer;
}

/** A request on a connection of its own. */
async function visit(port: number, session?: Buffer): Promise<Visit> {
  const trust = { servername: 'localhost', ca: folder.authority.certPem };
  const socket = tls.connect({ port, host: '127.0.0.1', ...trust, ...(session && { session }) });
  const sessions: Buffer[] = [];
  socket.on('session', (data: Buffer) => sessions.push(data));
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const secured = once(socket, 'secureConnect').then(() => socket.isSessionReused());
  assert.match(await text(socket), /hello$/);
  return { resumed: await secured, session: sessions[0]! };
}

/** One after the other, so that the workers have them in turn. */
async function visits(port: number, times: number, session: Buffer): Promise<boolean[]> {
  const resumed: boolean[] = [];
  for (let time = 0; time < times; time += 1) resumed.push((await visit(port, session)).resumed);
  return resumed;
}

/** @throws AssertionError if it is none */
async function pageOf(proxy: ProxyProcess): Promise<string> {
  const { port } = await proxy.event('metrics');
  const [response] = await once(get({ port: port as number, path: '/metrics' }), 'response');
  assert.equal(response.statusCode, 200);
  return text(response);
}

test('one port, tickets of each for all, one page of metrics', async () => {
  const proxy = new ProxyProcess(folder, args);
  const port = await proxy.port();
  await listening(proxy, WORKERS);
  const { session, resumed } = await visit(port);
  assert.equal(resumed, false);
  assert.deepEqual(await visits(port, 4, session), [true, true, true, true]);
  assert.match(await pageOf(proxy), /keyless_tls_proxy_requests_total\{host="www",status="2xx"\} 5\n/);
  assert.equal(await proxy.end(), 0);
});

test('a worker that dies is replaced, by one that takes the tickets of before; the others serve meanwhile', async () => {
  const proxy = new ProxyProcess(folder, args);
  const port = await proxy.port();
  await listening(proxy, WORKERS);
  const { session } = await visit(port);
  for (const [index, pid] of childrenOf(proxy.child.pid!).entries()) {
    process.kill(pid, 'SIGKILL');
    await proxy.event('worker-problem', ({ reason }) => {
      assert.equal(reason, 'SIGKILL');
      return count(proxy, 'worker-problem') > index;
    });
    assert.equal((await visit(port)).resumed, false);
    await listening(proxy, WORKERS + 1 + index);
  }
  assert.equal(childrenOf(proxy.child.pid!).length, WORKERS);
  assert.deepEqual(await visits(port, 4, session), [true, true, true, true]);
  assert.equal(await proxy.end(), 0);
});

test('told to end while no worker is there, it ends, and starts none', async () => {
  const proxy = new ProxyProcess(folder, args);
  await listening(proxy, WORKERS);
  for (const pid of childrenOf(proxy.child.pid!)) process.kill(pid, 'SIGKILL');
  await proxy.event('worker-problem', () => count(proxy, 'worker-problem') === WORKERS);
  assert.equal(await proxy.end(), 0);
  assert.equal(count(proxy, 'listening'), WORKERS);
});

/** A request of each worker that the backend has: workers have their connections in turn. */
async function underWay(port: number): Promise<{ answers: Promise<string>[]; responses: ServerResponse[] }> {
  const responses: ServerResponse[] = [];
  const answers: Promise<string>[] = [];
  for (let worker = 0; worker < WORKERS; worker += 1) {
    const asked = once(slow, 'request');
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: folder.authority.certPem,
    });
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    answers.push(text(socket));
    responses.push((await asked)[1] as ServerResponse);
  }
  return { answers, responses };
}

async function startSlow(): Promise<[proxy: ProxyProcess, port: number]> {
  const proxy = new ProxyProcess(folder, ['--backend', slowUrl, '--workers', String(WORKERS)]);
  const port = await proxy.port();
  await listening(proxy, WORKERS);
  return [proxy, port];
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  test(`${signal} of all its processes, in whichever order, finishes what is under way in each`, async () => {
    const [proxy, port] = await startSlow();
    const { answers, responses } = await underWay(port);
    const [first, second] = childrenOf(proxy.child.pid!);
    process.kill(first!, signal);
    await proxy.event('draining', () => count(proxy, 'draining') === 1);
    proxy.child.kill(signal);
    await proxy.event('draining', () => count(proxy, 'draining') === WORKERS);
    for (const pid of [first!, second!]) process.kill(pid, signal);
    for (const response of responses) response.end('whole');
    for (const answer of answers) assert.match(await answer, /whole$/);
    assert.equal(await proxy.ended, 0, proxy.stderr);
    assert.equal(count(proxy, 'ended'), WORKERS);
    assert.equal(count(proxy, 'worker-problem'), 0);
  });

test('a second signal to the first process ends all at once', async () => {
  const [proxy, port] = await startSlow();
  const { answers } = await underWay(port);
  proxy.child.kill('SIGINT');
  await proxy.event('draining', () => count(proxy, 'draining') === WORKERS);
  proxy.child.kill('SIGINT');
  assert.equal(await proxy.ended, 'SIGINT');
  await Promise.allSettled(answers);
  assert.equal(count(proxy, 'ended'), 0);
});

test('a worker that dies with what it had under way is told of, also at the end', async () => {
  const [proxy, port] = await startSlow();
  const { answers, responses } = await underWay(port);
  const [first] = childrenOf(proxy.child.pid!);
  proxy.child.kill('SIGTERM');
  await proxy.event('draining', () => count(proxy, 'draining') === WORKERS);
  process.kill(first!, 'SIGKILL');
  await proxy.event('worker-problem', ({ reason }) => reason === 'SIGKILL');
  for (const response of responses) response.end('whole');
  await Promise.allSettled(answers);
  assert.equal(await proxy.ended, 0);
});

test('workers that cannot start end it, with their exit code', async () => {
  const { port } = backend.address() as AddressInfo;
  const proxy = new ProxyProcess(folder, [...args, '--listen', `127.0.0.1:${port}`]);
  assert.equal(await proxy.ended, 1);
  assert.match(proxy.stderr, /EADDRINUSE/);
  assert.equal(count(proxy, 'worker-problem'), 0);
});

test('the page of metrics is of those workers that are there and answer, and says how many are missing', async () => {
  const proxy = new ProxyProcess(folder, args);
  assert.match(await pageOf(proxy), /^keyless_tls_proxy_workers_missing [12]$/m);
  const port = await proxy.port();
  await listening(proxy, WORKERS);
  const [first] = childrenOf(proxy.child.pid!);
  process.kill(first!, 'SIGSTOP');
  for (let times = 0; times < 2; times += 1) {
    const page = await pageOf(proxy);
    assert.match(page, /^keyless_tls_proxy_workers_missing 1$/m);
    assert.match(page, /^keyless_tls_proxy_connections 0$/m);
  }
  assert.equal(count(proxy, 'metrics-problem'), 1);
  process.kill(first!, 'SIGCONT');
  assert.match(await pageOf(proxy), /^keyless_tls_proxy_workers_missing 0$/m);
  process.kill(first!, 'SIGKILL');
  await proxy.event('worker-problem');
  assert.match(await pageOf(proxy), /^keyless_tls_proxy_workers_missing 1$/m);
  await visit(port);
  assert.equal(await proxy.end(), 0);
  assert.equal(count(proxy, 'metrics-problem'), 1);
});

test('told to end, it waits for a worker that stands still for as long as what is under way may take, and little more', async () => {
  const proxy = new ProxyProcess(folder, [...args, '--drain-timeout', '10']);
  await listening(proxy, WORKERS);
  process.kill(childrenOf(proxy.child.pid!)[0]!, 'SIGSTOP');
  assert.equal(await proxy.end(), 0);
  assert.equal((await proxy.event('worker-problem')).reason, 'SIGKILL');
});
