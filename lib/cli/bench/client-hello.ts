/** Connections that send a ClientHello and then nothing: what a server holds of each is a handshake under way. */
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { ClientFigures, HelloPlan } from './client-plans.ts';
import { Tally } from './client-tally.ts';

const BATCH = 100;
let held: net.Socket[] = [];
let heldPort = 0;

/** The first message of a client: its bytes may be sent as often as one likes. */
function firstMessage({ version, group = 'X25519:P-256' }: HelloPlan): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    const client = tls.connect({
      socket: wire,
      servername: 'localhost',
      ecdhCurve: group,
      minVersion: version,
      maxVersion: version,
    });
    client.on('error', () => undefined);
  });
}

async function open({ port, answered }: HelloPlan, message: Buffer): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  held.push(socket);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  socket.write(message);
  if (answered) await once(socket, 'data');
  socket.resume();
}

function closeAll(): void {
  for (const socket of held) socket.destroy();
  held = [];
}

/** See {@link HelloPlan}. */
export async function hello(plan: HelloPlan): Promise<ClientFigures> {
  const tally = new Tally();
  if (plan.port !== heldPort || plan.count === 0) closeAll();
  heldPort = plan.port;
  const message = await firstMessage(plan);
  while (held.length < plan.count) {
    const length = Math.min(BATCH, plan.count - held.length);
    await Promise.all(Array.from({ length }, () => open(plan, message)));
  }
  tally.handshakes = held.length;
  return tally.figures();
}
