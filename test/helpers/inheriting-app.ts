/**
 * An app that knows nothing of keyless-tls, and serves TLS in every kind of process that Node.js starts from itself:
 * `node inheriting-app.js certificate key [moved]`; moved: it changes its directory first. Prints what a client of each was told: the server's process, and how many
 * processes that hold keys are its children (Linux).
 */
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { type EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect, createServer } from 'node:tls';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const [, file, cert, key, asWhat] = process.argv as [string, string, string, string, string?];

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function holders(): number {
  return readdirSync('/proc').filter((pid) => {
    const parent = read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[1];
    return (
      parent === String(process.pid) &&
      /^keyless-tls keys|key-process-main/m.test(read(`/proc/${pid}/cmdline`))
    );
  }).length;
}

function serve(tell: (port: number) => void): void {
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) =>
    socket.end(`served, ${holders()} key holders`),
  );
  server.listen(0, '127.0.0.1', () => tell((server.address() as AddressInfo).port));
}

async function visit(kind: string, started: EventEmitter): Promise<void> {
  const [port] = (await once(started, 'message')) as [number];
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  console.log(`${kind}: ${await text(socket)}`);
}

async function startAll(): Promise<void> {
  if (asWhat === 'moved') process.chdir('/');
  const child = fork(file, [cert, key]);
  await visit('fork', child);
  child.kill();
  const thread = new Worker(file, { argv: [cert, key] });
  await visit('worker_threads', thread);
  await thread.terminate();
  const code = new Worker(`'use strict'; import(${JSON.stringify(import.meta.url)});`, {
    eval: true,
    argv: [cert, key],
  });
  await visit('worker_threads, evaluated', code);
  await code.terminate();
  cluster.setupPrimary({ exec: file, args: [cert, key] });
  const worker = cluster.fork();
  await visit('cluster', worker);
  worker.kill();
}

if (!isMainThread) serve((port) => parentPort!.postMessage(port));
else if (process.send !== undefined) serve((port) => process.send!(port));
else await startAll();
