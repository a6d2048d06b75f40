/**
 * TCP between an edge and a key server, with faults on command: every knob may be turned while connections are open.
 *
 * Bytes keep their order in each direction whatever the faults are; only a black hole loses them.
 */
import { once } from 'node:events';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';

/** `up`: from the edge to the key server. */
export type Direction = 'up' | 'down';

export interface Faults {
  /** Milliseconds that each chunk is held back, and up to so many more at random. */
  latencyMs: number;
  jitterMs: number;
  /** Bytes in a second, each connection and direction for itself; Infinity: no limit. */
  bytesPerSecond: number;
  /** Chunks of at most so many bytes, each in a turn of the loop of its own; Infinity: as they come. */
  sliceBytes: number;
  /** What comes is swallowed, and the connections stay open: a cable that was pulled. */
  blackHole: boolean;
  /** What comes waits until the stall is over. */
  stalled: boolean;
  /** New connections are reset at once. */
  refusing: boolean;
}

const NONE: Faults = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  sliceBytes: Number.POSITIVE_INFINITY,
  blackHole: false,
  stalled: false,
  refusing: false,
};

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A reset while an end is under way fails and leaves the descriptor open (Node 20 to 26: `reset EINVAL`). */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** One direction of one connection. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #proxy: FaultProxy;
  #queue: Promise<void> = Promise.resolve();
  #passed = 0;
  /** Offsets in the stream; Infinity: never. */
  #cutAt = Number.POSITIVE_INFINITY;
  #flipAt = Number.POSITIVE_INFINITY;

  constructor(proxy: FaultProxy, from: Socket, to: Socket) {
    this.#proxy = proxy;
    this.#from = from;
    this.#to = to;
    from.on('data', (chunk: Buffer) => this.#then(() => this.#pass(chunk, performance.now())));
    from.on('end', () => this.#then(async () => void this.#to.end()));
  }

  cutAfter(bytes: number): void {
    this.#cutAt = this.#passed + bytes;
  }

  flip(offset: number): void {
    this.#flipAt = this.#passed + offset;
  }

  #then(work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work);
  }

  async #pass(chunk: Buffer, cameAt: number): Promise<void> {
    const { faults } = this.#proxy;
    if (faults.blackHole) return;
    if (faults.stalled) await this.#proxy.whenGoing();
    const heldMs = faults.latencyMs + Math.random() * faults.jitterMs;
    const waitMs = cameAt + heldMs - performance.now();
    if (waitMs > 0) await pause(waitMs);
    if (faults.bytesPerSecond !== Number.POSITIVE_INFINITY)
      await pause((chunk.length / faults.bytesPerSecond) * 1000);
    for (let at = 0; at < chunk.length; at += faults.sliceBytes) {
      if (!this.#write(chunk.subarray(at, Math.min(chunk.length, at + faults.sliceBytes)))) return;
      if (faults.sliceBytes < chunk.length) await turn();
    }
  }

  /** @returns whether the connection goes on */
  #write(slice: Buffer): boolean {
    const start = this.#passed;
    this.#passed += slice.length;
    const isCut = this.#passed >= this.#cutAt;
    const bytes = Buffer.from(isCut ? slice.subarray(0, this.#cutAt - start) : slice);
    const at = this.#flipAt - start;
    if (at >= 0 && at < bytes.length) bytes[at]! ^= 1;
    if (this.#to.writable && bytes.length > 0) this.#to.write(bytes);
    if (!isCut) return !this.#to.destroyed;
    // What was let through arrives before the reset.
    this.#to.end();
    reset(this.#from);
    return false;
  }
}

export class FaultProxy {
  readonly faults: Faults = { ...NONE };
  /** Connections that came, also those that were refused. */
  connections = 0;
  /** When each of them came, by `performance.now()`. */
  readonly cameAt: number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #pipes = new Set<Readonly<Record<Direction, Pipe>>>();
  readonly #stalled = new Set<() => void>();
  /** Where connections go from now on. */
  target: number;

  constructor(target: number) {
    this.target = target;
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** No faults from now on; what was stalled goes on. */
  heal(): void {
    Object.assign(this.faults, NONE);
    for (const go of this.#stalled) go();
    this.#stalled.clear();
  }

  whenGoing(): Promise<void> {
    return new Promise((resolve) => this.#stalled.add(resolve));
  }

  /** The connections there are now: each is reset when so many more bytes have passed. */
  cutAfter(direction: Direction, bytes: number): void {
    for (const pipes of this.#pipes) pipes[direction].cutAfter(bytes);
  }

  /** The connections there are now: of the byte so far from here, the lowest bit is flipped. */
  flip(direction: Direction, offset: number): void {
    for (const pipes of this.#pipes) pipes[direction].flip(offset);
  }

  /** Ends the connections there are, by a reset. */
  reset(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  close(): Promise<void> {
    this.heal();
    this.reset();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(edge: Socket): void {
    this.connections += 1;
    this.cameAt.push(performance.now());
    if (this.faults.refusing) {
      reset(edge);
      return;
    }
    const server = net.connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    this.#watch(edge, server);
    this.#watch(server, edge);
    const pipes = { up: new Pipe(this, edge, server), down: new Pipe(this, server, edge) };
    this.#pipes.add(pipes);
    edge.on('close', () => this.#pipes.delete(pipes));
  }

  #watch(socket: Socket, other: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => reset(other));
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // A peer that is gone for the network is not gone for the other side.
      if (!this.faults.blackHole) other.destroy();
    });
  }
}

/** @param target the port of a key server on this machine */
export async function startFaultProxy(target: number): Promise<FaultProxy> {
  const proxy = new FaultProxy(target);
  await proxy.listen();
  return proxy;
}
