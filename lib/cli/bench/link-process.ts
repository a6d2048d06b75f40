/** A link with a delay between edge and key server: a process of its own, driven by messages. */
import net, { type AddressInfo } from 'node:net';

export interface LinkPlan {
  readonly port: number;
}

export interface LinkDelay {
  /** Milliseconds that what the edge sends is held back; answers pass at once: a round trip takes as much longer. */
  readonly ms: number;
}

interface Held {
  readonly at: number;
  readonly chunk: Buffer;
  readonly to: net.Socket;
}

/** Timers have steps of a millisecond: the rest is waited for turn by turn. */
const FINE_MS = 1.5;
const held: Held[] = [];
let delayMs = 0;
let waiting = false;

function release(): void {
  waiting = false;
  for (let first = held[0]; first !== undefined && first.at <= performance.now(); first = held[0]) {
    held.shift();
    first.to.write(first.chunk);
  }
  wait();
}

function wait(): void {
  const [first] = held;
  if (waiting || first === undefined) return;
  waiting = true;
  const left = first.at - performance.now();
  if (left > FINE_MS) setTimeout(release, left - FINE_MS);
  else setImmediate(release);
}

function hold(chunk: Buffer, to: net.Socket): void {
  if (delayMs === 0 && held.length === 0) {
    to.write(chunk);
    return;
  }
  held.push({ at: performance.now() + delayMs, chunk, to });
  wait();
}

function join(edge: net.Socket, port: number): void {
  const keyServer = net.connect({ port, host: '127.0.0.1', noDelay: true });
  edge.setNoDelay(true);
  edge.on('data', (chunk: Buffer) => hold(chunk, keyServer));
  keyServer.on('data', (chunk: Buffer) => edge.write(chunk));
  for (const [from, to] of [
    [edge, keyServer],
    [keyServer, edge],
  ] as const) {
    from.on('error', () => undefined);
    from.on('close', () => to.destroy());
  }
}

process.once('message', ({ port }: LinkPlan) => {
  const server = net.createServer((edge) => join(edge, port));
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('message', ({ ms }: LinkDelay) => {
    delayMs = ms;
    process.send?.({ ms });
  });
});
process.on('disconnect', () => process.exit());
