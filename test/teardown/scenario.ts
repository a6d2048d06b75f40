/**
 * A process (or worker) that ends while an operation is pending. Run by teardown.test.ts, which says where and how:
 * `node scenario.js <moment> <how>`.
 */
import { connect } from 'node:tls';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { createServer, localKey, type PrivateKey } from '../../lib/index.ts';

export type Moment = 'before' | 'in-callback' | 'pending' | 'answered' | 'in-secure' | 'done';
export type How = 'exit' | 'terminate' | 'throw';

interface Plan {
  readonly moment: Moment;
  readonly how: How;
  readonly certPem: string;
  readonly keyPem: string;
  readonly rsaKeyExchange: boolean;
}

const CONNECTIONS = 20;

function end({ how }: Plan): void {
  if (how === 'exit') process.exit(7);
  if (how === 'throw') throw new Error('as planned');
  parentPort?.postMessage('now');
  // Until the parent's terminate() arrives this thread stays exactly here.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
}

function start(plan: Plan): void {
  const reach = (moment: Moment) => {
    if (moment === plan.moment) end(plan);
  };
  const local = localKey(plan.keyPem, { sync: true });
  let asked = 0;
  const answer = (work: () => Uint8Array) => {
    asked += 1;
    reach('in-callback');
    return new Promise<Uint8Array>((resolve) => {
      if (plan.moment === 'pending') {
        if (asked === CONNECTIONS) setImmediate(() => reach('pending'));
        return;
      }
      setImmediate(() => {
        resolve(work());
        queueMicrotask(() => queueMicrotask(() => reach('answered')));
      });
    });
  };
  const { decrypt } = local;
  const key: PrivateKey = {
    sign: (operation) => answer(() => local.sign(operation) as Uint8Array),
    decrypt: decrypt && ((operation) => answer(() => decrypt(operation) as Uint8Array)),
  };
  const server = createServer({ cert: plan.certPem, key }, (socket) => {
    reach('in-secure');
    socket.on('error', () => {}).write('hello');
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    const kx = plan.rsaKeyExchange ? ({ maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const) : {};
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...kx });
      client.on('error', () => {});
      client.on('data', () => reach('done'));
    }
    reach('before');
  });
}

if (isMainThread) process.once('message', (plan) => start(plan as Plan));
else start(workerData as Plan);
