/**
 * A process that is given secrets and has no more use for them: `node wiping-app.js`, driven by messages. What it is sent is
 * inverted, so that the message itself is not what is found.
 */
import { once } from 'node:events';
import { createServer, leaseTicketKeys, type PrivateKey } from '../../lib/index.ts';
import { listen } from './connections.ts';
import { ManualClock } from './manual-clock.ts';

/** A message's part. */
export function inverted(hex: string): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = ~bytes[at]!;
  return bytes;
}

interface Start {
  readonly cert: string;
  /** Leases ticket keys, which are the answer to the question "tickets". */
  readonly leases: boolean;
  /** Does not wipe what is its own, so that it is found. */
  readonly keeps: boolean;
}

async function ask(question: string, more = ''): Promise<Buffer> {
  process.send?.({ question, more });
  const [answer] = (await once(process, 'message')) as [string];
  return inverted(answer);
}

/** Theirs are wiped by whoever asked for them; those of a PrivateKey and a pskCallback are the user's own. */
const own: Buffer[] = [];

function kept(secret: Buffer): Buffer {
  own.push(secret);
  return secret;
}

const TLS = { maxVersion: 'TLSv1.2', ciphers: 'RSA-PSK-AES128-GCM-SHA256' };

async function start({ cert, leases, keeps }: Start): Promise<void> {
  const wipeOwn = () => {
    if (!keeps) for (const secret of own.splice(0)) secret.fill(0);
  };
  const key: PrivateKey = {
    sign: () => Promise.reject(new Error('not asked for')),
    decrypt: async ({ ciphertext }) => kept(await ask('premaster', ciphertext.toString('hex'))),
  };
  const pskOf = (_socket: unknown, identity: string) => kept(inverted(identity));
  const server = createServer({ cert, key, pskCallback: pskOf, ...TLS } as never, (socket) => {
    socket.on('error', () => undefined).end('done');
    wipeOwn();
  });
  server.on('tlsClientError', wipeOwn);
  const port = await listen(server);
  if (!leases) {
    process.send?.({ port });
    return;
  }
  const clock = new ManualClock();
  const lease = leaseTicketKeys({ ticketKeys: () => ask('tickets') }, { clock, random: () => 0.5 });
  lease.use(server);
  await lease.ready();
  process.send?.({ port });
  process.on('message', (ms) => {
    if (typeof ms !== 'number') return;
    clock.advance(ms);
    setImmediate(() => process.send?.({ state: lease.stats().state }));
  });
}
process.once('message', (message) => void start(message as Start));
