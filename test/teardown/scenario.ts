/**
 * A process (or worker) that ends while an operation is pending. Run by teardown.test.ts, which says where and how:
 * `node scenario.js <moment> <how>`.
 */
import { type ConnectionOptions, connect } from 'node:tls';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { createServer, localKey, type PrivateKey } from '../../lib/index.ts';

/** `in-psk`: a job has paused for the user's pskCallback. */
export type Moment = 'before' | 'in-callback' | 'in-psk' | 'pending' | 'answered' | 'in-secure' | 'done';
export type KeyExchange = 'of TLS 1.3' | 'RSA' | 'RSA-PSK';
export type How = 'exit' | 'terminate' | 'throw';

interface Plan {
  readonly moment: Moment;
  readonly how: How;
  readonly certPem: string;
  readonly keyPem: string;
  readonly keyExchange: KeyExchange;
}

const CONNECTIONS = 20;

const OPTIONS: Readonly<Record<KeyExchange, ConnectionOptions>> = {
  'of TLS 1.3': {},
  RSA: { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' },
  'RSA-PSK': { maxVersion: 'TLSv1.2', ciphers: 'RSA-PSK-AES128-GCM-SHA256' },
};
const psk = Buffer.alloc(32, 1);

function end({ how }: Plan): void {
  if (how === 'exit') process.exit(7);
  if (how === 'throw') throw new Error('as planned');
  parentPort?.postMessage('now');
  // Until the parent's terminate() arrives this thread stays exactly here.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
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
  const options = OPTIONS[plan.keyExchange];
  const pskCallback = () => {
    reach('in-psk');
    return psk;
  };
  const own = { ...options, cert: plan.certPem, key, pskCallback } as Parameters<typeof createServer>[0];
  const server = createServer(own, (socket) => {
    reach('in-secure');
    socket.on('error', () => {}).write('hello');
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    const theirs =
      plan.keyExchange === 'RSA-PSK'
        ? { pskCallback: () => ({ psk, identity: 'me' }), checkServerIdentity: () => undefined }
        : {};
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = connect({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ...options,
        ...theirs,
      } as ConnectionOptions);
      client.on('error', () => {});
      client.on('data', () => reach('done'));
    }
    reach('before');
  });
}

if (isMainThread) process.once('message', (plan) => start(plan as Plan));
else start(workerData as Plan);
